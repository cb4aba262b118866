"""The kinds of graph that the runtime itself builds. Imported at start-up, so LangChain comes in only when
one is built.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from agents.definitions import registry
from agents.definitions.data import TOOL_CALLING

if TYPE_CHECKING:
    from agents.runtime.graphs import BuildContext, Graph


def register_kinds() -> None:
    """Makes them known to the definitions."""
    registry.register_graph_kind(TOOL_CALLING, tool_calling)


def tool_calling(context: BuildContext) -> Graph:
    """A model that calls the agent's tools until it answers without one."""
    from agents.runtime.graphs import tool_calling_graph

    return tool_calling_graph(context)
