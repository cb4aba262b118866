"""An agent whose run has a middle, in which a test may kill its worker; installed with MUTIRAO_APPS."""

from __future__ import annotations

import os
import time
from pathlib import Path
from typing import Any

import sentry_sdk
import structlog
from langgraph.graph import END, START, MessagesState, StateGraph

from agents.definitions import AgentDefinition, register

logger = structlog.get_logger(__name__)
PATIENCE_SECONDS = 60


class Unreadable(Exception):
    """One of the sources could not be read."""


def gate() -> Path:
    """The middle of the run waits for this file."""
    return Path(os.environ["MUTIRAO_HOME"]) / "gate-story"


@register
class Storyteller(AgentDefinition):
    """Asks its model, waits, and answers; what it can do without, it reports by itself."""

    slug = "storyteller"
    model = "scripted:echo"
    limits = {"seconds": 120}

    def graph(self, context: Any) -> StateGraph[Any]:
        model = context.model()

        def ask(state: MessagesState) -> dict[str, Any]:
            return {"messages": [model.invoke(str(state["messages"][-1].text))]}

        def wait(state: MessagesState) -> dict[str, Any]:
            logger.warning("in_the_middle")
            deadline = time.monotonic() + PATIENCE_SECONDS
            while not gate().exists() and time.monotonic() < deadline:
                time.sleep(0.02)
            return {"messages": []}

        def conclude(state: MessagesState) -> dict[str, Any]:
            sentry_sdk.capture_exception(Unreadable())
            return {"messages": []}

        graph = StateGraph(MessagesState).add_node("ask", ask).add_node("wait", wait).add_node("conclude", conclude)
        return (
            graph.add_edge(START, "ask").add_edge("ask", "wait").add_edge("wait", "conclude").add_edge("conclude", END)
        )
