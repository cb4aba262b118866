"""Agents for tests of the whole platform and for measurements; installed with MUTIRAO_APPS=tests.parts."""

from __future__ import annotations

import os
import time
from operator import add
from pathlib import Path
from typing import Annotated, Any, TypedDict

from django.contrib.auth import get_user_model
from langgraph.graph import END, START, StateGraph

from agents.definitions import AgentDefinition, register

PATIENCE_SECONDS = 60


class Value(TypedDict):
    value: int


def add_one(state: Value) -> Value:
    """The smallest node there is."""
    return {"value": state["value"] + 1}


@register
class OneNode(AgentDefinition):
    """One node and no model: what remains is the platform itself."""

    slug = "one-node"

    def graph(self, context: Any) -> StateGraph[Value]:
        return StateGraph(Value).add_node("add", add_one).add_edge(START, "add").add_edge("add", END)


class Journey(TypedDict):
    name: str
    steps: list[str]


def diary(name: str) -> Path:
    """Where a journey notes every step that it really makes."""
    return Path(os.environ["MUTIRAO_HOME"]) / f"journey-{name}.txt"


def gate(name: str) -> Path:
    """The middle step of a journey waits for this file."""
    return Path(os.environ["MUTIRAO_HOME"]) / f"gate-{name}"


def _make(step: str, state: Journey) -> Journey:
    with diary(state["name"]).open("a") as file:
        file.write(f"{step}\n")
    return {"name": state["name"], "steps": [*state["steps"], step]}


def first(state: Journey) -> Journey:
    """A step that is complete before anything happens to the worker."""
    return _make("first", state)


def middle(state: Journey) -> Journey:
    """The step in which things happen to the worker."""
    made = _make("middle", state)
    deadline = time.monotonic() + PATIENCE_SECONDS
    while not gate(state["name"]).exists() and time.monotonic() < deadline:
        time.sleep(0.02)
    return made


def last(state: Journey) -> Journey:
    """A step that only the attempt that finishes makes."""
    return _make("last", state)


@register
class Traveller(AgentDefinition):
    """Three steps, of which the middle one can be interrupted by a test."""

    slug = "traveller"
    limits = {"seconds": 120}

    def graph(self, context: Any) -> StateGraph[Journey]:
        graph = StateGraph(Journey)
        for node in (first, middle, last):
            graph.add_node(node.__name__, node)
        return (
            graph.add_edge(START, "first").add_edge("first", "middle").add_edge("middle", "last").add_edge("last", END)
        )


@register
class Echo(AgentDefinition):
    """Repeats what it hears, word by word, with a scripted model."""

    slug = "echo"
    model = "scripted:echo"


@register
class Slow(AgentDefinition):
    """Says the same in many pieces, with a pause before each."""

    slug = "slow"
    model = "scripted:slow"


class Counts(TypedDict):
    found: Annotated[list[int], add]


def count_people(state: Counts) -> Counts:
    """Asks the database from one of LangGraph's threads, and then takes its time."""
    count = get_user_model().objects.count()
    time.sleep(0.2)
    return {"found": [count - len(state["found"])]}


@register
class SideBySide(AgentDefinition):
    """Eight nodes at the same time, each with a question to the database."""

    slug = "side-by-side"

    def graph(self, context: Any) -> StateGraph[Counts]:
        graph: StateGraph[Counts] = StateGraph(Counts)
        for number in range(8):
            graph.add_node(f"count-{number}", count_people)
            graph.add_edge(START, f"count-{number}").add_edge(f"count-{number}", END)
        return graph
