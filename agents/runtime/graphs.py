"""Graphs of agent versions, built once and shared by all their runs."""

from __future__ import annotations

import uuid
from dataclasses import dataclass
from functools import cached_property, lru_cache
from typing import Any

from langchain.agents import create_agent
from langchain_core.tools import BaseTool
from langgraph.errors import GraphBubbleUp
from langgraph.graph import StateGraph
from langgraph.pregel import Pregel

from agents.definitions import registry
from agents.definitions.data import VersionData
from agents.definitions.services import agent_version_data
from agents.runtime.exceptions import UnusableGraph
from agents.runtime.run_model import RunModel
from agents.tools.langchain import build_tools

MOST_GRAPHS = 256
# What a tool raises to steer the graph is not an error of the tool.
_STEERING = (GraphBubbleUp,)

Graph = Pregel[Any, Any, Any, Any]


@dataclass(frozen=True)
class BuildContext:
    """What an agent's `graph(self, context)` is given.

    The graph is built once and run many times, at the same time too: keep nothing of a task in it.
    """

    version: VersionData

    @property
    def slug(self) -> str:
        """The agent's slug."""
        return self.version.slug

    @property
    def system_prompt(self) -> str:
        """The system prompt of this version."""
        return self.version.system_prompt

    @cached_property
    def tools(self) -> list[BaseTool]:
        """The agent's tools. Raises when one of them is not installed."""
        return build_tools(self.version.tools, registry.callables(self.slug), passing=_STEERING)

    def model(self, name: str = "", **parameters: Any) -> RunModel:
        """A chat model whose calls are recorded, limited and accounted for in the run that makes them.

        Without a name (`provider:model`) the version's own; parameters are added to the version's.
        """
        return RunModel(name or self.version.model, {**self.version.parameters, **parameters})


def graph_of(version_id: uuid.UUID) -> Graph:
    """The graph of this version.

    Raises UnknownGraphKind or UnknownAgent when its code is not installed, and whatever building it raises.
    """
    return _built(version_id)


def forget_graphs() -> None:
    """Graphs are built anew when next needed (for tests that change code)."""
    _built.cache_clear()


@lru_cache(maxsize=MOST_GRAPHS)
def _built(version_id: uuid.UUID) -> Graph:
    version = agent_version_data(version_id)
    graph = registry.graph_kind(version.kind)(BuildContext(version))
    if isinstance(graph, StateGraph):
        graph = graph.compile(name=version.slug)
    if not isinstance(graph, Pregel):
        raise UnusableGraph
    return graph


def tool_calling_graph(context: BuildContext) -> Graph:
    """A model that calls the agent's tools until it answers without one."""
    built: Graph = create_agent(
        context.model(),  # a Runnable in place of a chat model, as init_chat_model's configurable one is
        tools=context.tools,
        system_prompt=context.system_prompt or None,
        name=context.slug,
    )
    return built
