"""An agent that says what it should not, everywhere it can; installed with MUTIRAO_APPS=tests.telemetry.leaky."""

from __future__ import annotations

from typing import Any

import structlog
from langchain_core.messages import AnyMessage
from langgraph.graph import END, START, MessagesState, StateGraph

from agents.definitions import AgentDefinition, register

logger = structlog.get_logger(__name__)


@register
class Leaky(AgentDefinition):
    """Logs what it hears, sends it to its model, and fails with it."""

    slug = "leaky"
    model = "scripted:echo"

    def graph(self, context: Any) -> StateGraph[Any]:
        model = context.model()

        def leak(state: MessagesState) -> dict[str, list[AnyMessage]]:
            said = str(state["messages"][-1].text)
            logger.warning("leaking", said=said, nested={"headers": [{"Authorization": said}], "inner": [said]})
            model.invoke(said)
            if "please fail" in said:
                raise RuntimeError(said)
            return {"messages": []}

        return StateGraph(MessagesState).add_node("leak", leak).add_edge(START, "leak").add_edge("leak", END)
