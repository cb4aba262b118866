"""One model call from its start to its row."""

from __future__ import annotations

import time
from dataclasses import dataclass, field
from datetime import datetime
from typing import TYPE_CHECKING

import structlog
from django.db import close_old_connections
from django.utils import timezone

from agents.gateway.data import CallContext
from agents.gateway.errors import clean
from agents.gateway.models import ModelCall
from agents.gateway.prices import cost_of
from telemetry import metrics
from telemetry.spans import current_span_id, current_trace_id

if TYPE_CHECKING:
    from langchain_core.messages import AIMessage, BaseMessage

logger = structlog.get_logger(__name__)
CHARACTERS_PER_TOKEN = 4


@dataclass(slots=True)
class Recording:
    """Measures a call. `finish` counts it in and writes its row, once."""

    provider: str
    model: str
    context: CallContext
    asked: int
    started_at: datetime = field(default_factory=timezone.now)
    _started: float = field(default_factory=time.perf_counter)
    _first_token_ms: float | None = None
    _written: int = 0
    _input_tokens: int = 0
    _output_tokens: int = 0
    _has_counts: bool = False

    def see(self, message: AIMessage) -> None:
        """Takes in a piece of the answer, or all of it."""
        said = len(message.text) + len(str(message.tool_calls or ""))
        if said and self._first_token_ms is None:
            self._first_token_ms = self._elapsed_ms()
        self._written += said
        if message.usage_metadata:
            self._has_counts = True
            self._input_tokens += message.usage_metadata["input_tokens"]
            self._output_tokens += message.usage_metadata["output_tokens"]

    def finish(self, error: BaseException | None = None) -> None:
        """Counts the call in and inserts its row. A row that cannot be written is logged, never raised."""
        began = self._first_token_ms is not None
        if not self._has_counts and (error is None or began):
            self._input_tokens = -(-self.asked // CHARACTERS_PER_TOKEN)
            self._output_tokens = -(-self._written // CHARACTERS_PER_TOKEN)
        cost = cost_of(self.provider)
        self.context.meter.add(input_tokens=self._input_tokens, output_tokens=self._output_tokens, cost=cost)
        row = self._row(error)
        row.cost = cost
        _count(row)
        row.is_estimate = not self._has_counts and (error is None or began)
        try:
            row.save(force_insert=True)
        except Exception:
            logger.exception("model_call_not_written", provider=self.provider, model=self.model)
            close_old_connections()

    def _row(self, error: BaseException | None) -> ModelCall:
        context = self.context
        return ModelCall(
            task_id=context.task_id,
            fence=context.fence,
            agent_version_id=context.agent_version_id,
            owner_id=context.owner_id,
            provider=self.provider,
            model=self.model,
            started_at=self.started_at,
            latency_ms=self._elapsed_ms(),
            first_token_ms=self._first_token_ms,
            input_tokens=self._input_tokens,
            output_tokens=self._output_tokens,
            outcome=_outcome(error),
            error_type=type(error).__name__[:100] if error else "",
            error_message=clean(str(error)) if error else "",
            trace_id=context.trace_id or current_trace_id(),
            span_id=current_span_id(),
        )

    def _elapsed_ms(self) -> float:
        return (time.perf_counter() - self._started) * 1000


@metrics.harmless
def _count(call: ModelCall) -> None:
    """The same figures as the row's, for Prometheus."""
    route = (call.provider, call.model)
    metrics.MODEL_CALLS.labels(*route, str(call.outcome)).inc()
    metrics.MODEL_SECONDS.labels(*route).observe(call.latency_ms / 1000)
    if call.first_token_ms is not None:
        metrics.FIRST_TOKEN_SECONDS.labels(*route).observe(call.first_token_ms / 1000)
    metrics.TOKENS.labels(*route, "input").inc(call.input_tokens)
    metrics.TOKENS.labels(*route, "output").inc(call.output_tokens)
    if call.cost:
        metrics.COST.labels(*route).inc(float(call.cost))


def _outcome(error: BaseException | None) -> str:
    if error is None:
        return ModelCall.Outcome.SUCCEEDED
    return ModelCall.Outcome.FAILED if isinstance(error, Exception) else ModelCall.Outcome.CANCELLED


def characters_of(messages: list[BaseMessage]) -> int:
    """How much text is asked, for an estimate."""
    return sum(len(message.text) for message in messages)
