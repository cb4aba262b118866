"""What has to happen around every node, model call and tool call, in the thread that makes it."""

from __future__ import annotations

import threading
from typing import Any
from uuid import UUID

from langchain_core.callbacks import BaseCallbackHandler
from langchain_core.messages import BaseMessage
from langchain_core.outputs import LLMResult
from langgraph.constants import TAG_HIDDEN

from agents.runtime.run import Run
from foundation.threads import close_connections, release_connections
from telemetry.models import Span
from telemetry.spans import OpenSpan, open_span


class RunCallbacks(BaseCallbackHandler):
    """Stops the run where it is told to, records spans, and gives database connections back.

    LangGraph runs nodes in threads of its own and waits for them, so the thread that consumes the graph's
    stream cannot stop a model in the middle of an answer: this can. A connection goes back before a model
    call, which takes seconds, and is closed in LangGraph's threads after a node or a tool, because nobody
    else would.
    """

    run_inline = True

    def __init__(self, run: Run) -> None:
        self._run = run
        self._thread = threading.get_ident()
        self._open: dict[UUID, OpenSpan] = {}

    # Nodes

    def on_chain_start(
        self, serialized: dict[str, Any], inputs: Any, *, run_id: UUID, tags: list[str] | None = None,
        metadata: dict[str, Any] | None = None, **kwargs: Any,
    ) -> None:  # fmt: skip
        """A node begins (or something inside one, which does not count)."""
        name = kwargs.get("name")
        if name and metadata and name == metadata.get("langgraph_node") and TAG_HIDDEN not in (tags or ()):
            self._begin(Span.Kind.STEP, name, run_id, kwargs)

    def on_chain_end(self, outputs: Any, *, run_id: UUID, **kwargs: Any) -> None:
        """A node, or something inside one, ends."""
        self._end(run_id)
        self._leave()

    def on_chain_error(self, error: BaseException, *, run_id: UUID, **kwargs: Any) -> None:
        """A node, or something inside one, failed."""
        self._end(run_id, error)
        self._leave()

    # Models

    def on_chat_model_start(self, serialized: dict[str, Any], messages: list[list[BaseMessage]], **kwargs: Any) -> None:
        """A model is about to be called; the gateway records the span of the call."""
        self._run.control.check()
        release_connections()

    def on_llm_new_token(self, token: Any, **kwargs: Any) -> None:
        """A piece of the answer."""
        self._run.control.check()

    def on_llm_end(self, response: LLMResult, **kwargs: Any) -> None:
        """The model has answered."""
        self._run.settle()
        release_connections()

    def on_llm_error(self, error: BaseException, **kwargs: Any) -> None:
        """The model failed."""
        self._run.settle()
        release_connections()

    # Tools

    def on_tool_start(self, serialized: dict[str, Any], input_str: str, *, run_id: UUID, **kwargs: Any) -> None:
        """A tool begins."""
        self._begin(Span.Kind.TOOL, kwargs.get("name") or (serialized or {}).get("name") or "", run_id, kwargs)

    def on_tool_end(self, output: Any, *, run_id: UUID, **kwargs: Any) -> None:
        """A tool ends."""
        self._end(run_id)
        self._leave()

    def on_tool_error(self, error: BaseException, *, run_id: UUID, **kwargs: Any) -> None:
        """A tool failed."""
        self._end(run_id, error)
        self._leave()

    def _begin(self, kind: str, name: str, run_id: UUID, kwargs: dict[str, Any]) -> None:
        self._run.control.check()
        parent = self._open.get(kwargs.get("parent_run_id") or run_id)
        if opened := open_span(kind, name, parent=parent):
            self._open[run_id] = opened

    def _end(self, run_id: UUID, error: BaseException | None = None) -> None:
        if opened := self._open.pop(run_id, None):
            opened.end(error=error)

    def _leave(self) -> None:
        if threading.get_ident() == self._thread:
            release_connections()
        else:
            close_connections()
