"""Agents whose every step leaves a trace; a step can wait for a file, take its time, or kill its own process."""

from __future__ import annotations

import operator
import os
import signal
import time
from pathlib import Path
from typing import Annotated, Any, TypedDict

from langgraph.graph import END, START, StateGraph

from agents.definitions import AgentDefinition, register
from agents.tools.context import idempotency_key
from agents.tools.traits import declare
from tests.parts.chaos import effects

PATIENCE_SECONDS = 120
BRANCHES = ("a", "b", "c", "d")
LONG = 10
# As `agents.testing` speaks it: every tool is called once.
CALLS_ITS_TOOLS = "scripted:tools"


class Work(TypedDict, total=False):
    """`pause`: seconds that a step takes. `gate`: a file in MUTIRAO_HOME that the first step waits for. `dies_in`: the
    step in which the first attempt kills its process.
    """

    pause: float
    gate: str
    dies_in: str
    steps: Annotated[list[str], operator.add]


def _wait_for(gate: str) -> None:
    deadline = time.monotonic() + PATIENCE_SECONDS
    while not (Path(os.environ["MUTIRAO_HOME"]) / gate).exists() and time.monotonic() < deadline:
        time.sleep(0.02)


def step(name: str, *, is_first: bool = False) -> Any:
    """A node that makes one step."""

    def node(state: Work) -> dict[str, list[str]]:
        fence = effects.note(name)
        if is_first and (gate := state.get("gate")):
            _wait_for(gate)
        time.sleep(state.get("pause", 0))
        if state.get("dies_in") == name and fence == 1:
            os.kill(os.getpid(), signal.SIGKILL)
        return {"steps": [name]}

    return node


def chain(graph: StateGraph[Work], names: list[str]) -> None:
    """These steps, one after the other."""
    before = START
    for name in names:
        graph.add_node(name, step(name, is_first=before == START))
        graph.add_edge(before, name)
        before = name
    graph.add_edge(before, END)


@register
class Short(AgentDefinition):
    """Two steps."""

    slug = "chaos-short"

    def graph(self, context: Any) -> StateGraph[Work]:
        graph = StateGraph(Work)
        chain(graph, ["one", "two"])
        return graph


@register
class Long(AgentDefinition):
    """Ten steps."""

    slug = "chaos-long"

    def graph(self, context: Any) -> StateGraph[Work]:
        graph = StateGraph(Work)
        chain(graph, [f"{n}" for n in range(1, LONG + 1)])
        return graph


@register
class Wide(AgentDefinition):
    """Four branches of ten steps each, which run side by side."""

    slug = "chaos-wide"

    def graph(self, context: Any) -> StateGraph[Work]:
        graph = StateGraph(Work)
        for branch in BRANCHES:
            chain(graph, [f"{branch}{n}" for n in range(1, LONG + 1)])
        return graph


def one_node(node: Any) -> StateGraph[Work]:
    """A graph of this node."""
    return StateGraph(Work).add_node("only", node).add_edge(START, "only").add_edge("only", END)


def kill_the_process(_state: Work) -> dict[str, list[str]]:
    """What a task does whose library ends in a segmentation fault, or that takes all the memory there is."""
    effects.note("poison")
    time.sleep(0.2)
    os.kill(os.getpid(), signal.SIGKILL)
    return {"steps": ["poison"]}


@register
class Poison(AgentDefinition):
    """Kills every process that runs it."""

    slug = "chaos-poison"

    def graph(self, context: Any) -> StateGraph[Work]:
        return one_node(kill_the_process)


def hang(_state: Work) -> dict[str, list[str]]:
    """Never looks whether it should stop."""
    time.sleep(PATIENCE_SECONDS)
    return {"steps": ["hang"]}


@register
class Hang(AgentDefinition):
    """Does not come back."""

    slug = "chaos-hang"

    def graph(self, context: Any) -> StateGraph[Work]:
        return one_node(hang)


def refuse(_state: Work) -> dict[str, list[str]]:
    """Fails in a way that may be better next time."""
    raise TimeoutError("Nobody is there.")


@register
class Patient(AgentDefinition):
    """Fails, and waits long before it tries again."""

    slug = "chaos-patient"
    policy = {"max_attempts": 5, "first_pause": 600, "longest_pause": 600}

    def graph(self, context: Any) -> StateGraph[Work]:
        return one_node(refuse)


def _order(key: str) -> str:
    """A call to another system, which sees this key."""
    effects.note(f"{effects.ORDER}{key}")
    return "ordered"


@declare(effects="idempotent")
def order_safely(order: str) -> str:
    """Orders something from a service that counts by key."""
    return _order(idempotency_key())


@declare(effects="once")
def order_once(order: str) -> str:
    """Orders something from a service that believes everything."""
    return _order("")


@declare(needs_approval=True)
def order_with_approval(order: str) -> str:
    """Orders something that somebody has to agree to."""
    return _order("")


@register
class Buyer(AgentDefinition):
    """Its tool may be called again."""

    slug = "chaos-buyer"
    model = CALLS_ITS_TOOLS
    tools = (order_safely,)


@register
class BuyerOnce(AgentDefinition):
    """Its tool may not."""

    slug = "chaos-buyer-once"
    model = CALLS_ITS_TOOLS
    tools = (order_once,)


@register
class Asker(AgentDefinition):
    """Its tool has to be approved."""

    slug = "chaos-asker"
    model = CALLS_ITS_TOOLS
    tools = (order_with_approval,)
