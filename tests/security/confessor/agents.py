"""An agent that fails with every secret of its process on its lips; installed with MUTIRAO_APPS."""

from __future__ import annotations

import json
import os
from pathlib import Path
from typing import Any, TypedDict

from langgraph.graph import END, START, StateGraph

from agents.definitions import AgentDefinition, register


class Question(TypedDict):
    text: str


def confess(state: Question) -> Question:
    """The environment, and the file that `make up` keeps secrets in."""
    kept = (Path(os.environ["MUTIRAO_HOME"]) / "environment").read_text()
    raise RuntimeError(json.dumps(dict(os.environ)) + kept + state["text"])


@register
class Confessor(AgentDefinition):
    """Fails, and tells why at length."""

    slug = "confessor"

    def graph(self, context: Any) -> StateGraph[Question]:
        return StateGraph(Question).add_node("confess", confess).add_edge(START, "confess").add_edge("confess", END)
