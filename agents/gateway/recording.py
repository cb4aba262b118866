"""One model call from its start to its row."""

from __future__ import annotations

import time
import uuid
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from decimal import Decimal
from typing import TYPE_CHECKING, Any

import structlog
from django.utils import timezone

from agents.gateway import ledger
from agents.gateway.answers import Answered, CallNotes
from agents.gateway.counting import count_call
from agents.gateway.data import CallContext
from agents.gateway.errors import clean
from agents.gateway.models import ModelCall
from agents.gateway.prices import Tokens, cost, price_of
from foundation.models import new_id
from telemetry.spans import current_span_id, current_trace_id

if TYPE_CHECKING:
    from langchain_core.messages import AIMessage, BaseMessage

logger = structlog.get_logger(__name__)
CHARACTERS_PER_TOKEN = 4


@dataclass(slots=True)
class _Said:
    """What one try of a deployment has brought so far."""

    characters: int = 0
    has_counts: bool = False
    input: int = 0
    output: int = 0
    cached: int = 0
    reasoning: int = 0

    def add(self, message: AIMessage, characters: int) -> None:
        self.characters += characters
        usage = message.usage_metadata
        if usage:
            self.has_counts = True
            self.input += usage["input_tokens"]
            self.output += usage["output_tokens"]
            self.cached += (usage.get("input_token_details") or {}).get("cache_read") or 0
            self.reasoning += (usage.get("output_token_details") or {}).get("reasoning") or 0

    def tokens(self, asked: int, *, is_whole: bool) -> tuple[Tokens, bool]:
        """What it took, and whether that is an estimate: of an answer that broke off, the provider's own figures are
        of its beginning only.
        """
        told = Tokens(self.input, self.output, self.cached, self.reasoning)
        if (self.has_counts and is_whole) or not (is_whole or self.characters):
            return told, False
        guess = Tokens(-(-asked // CHARACTERS_PER_TOKEN), -(-self.characters // CHARACTERS_PER_TOKEN))
        if not self.has_counts:
            return guess, True
        output = max(told.output, guess.output)
        return Tokens(told.input, output, told.cached, told.reasoning), output > told.output


@dataclass(slots=True)
class Recording:
    """Measures a call and writes its row, once.

    `target` is what was asked for, a route or `provider:model`; `asked` how many characters. Each try of a deployment
    is told with `tried`, the pieces that it gave with `see` before that. `finish` ends it.
    """

    target: str
    context: CallContext
    asked: int
    call_id: uuid.UUID = field(default_factory=new_id)
    started_at: datetime = field(default_factory=timezone.now)
    _started: float = field(default_factory=time.perf_counter)
    _first_token_ms: float | None = None
    _tries: list[dict[str, Any]] = field(default_factory=list)
    _said: _Said | None = None
    _last: tuple[uuid.UUID | None, str, str] = (None, "", "")
    _price_id: uuid.UUID | None = None
    _tokens: Tokens = field(default_factory=Tokens)
    # None: at least one try has used tokens of a model whose price is not known.
    _cost: Decimal | None = Decimal(0)
    _is_estimate: bool = False
    _is_finished: bool = False

    def see(self, message: AIMessage) -> None:
        """Takes in a piece of a provider's answer, or all of it."""
        characters = len(message.text) + len(str(message.tool_calls or ""))
        if characters:
            self.began()
        if self._said is None:
            self._said = _Said()
        self._said.add(message, characters)

    def began(self) -> None:
        """The caller has got the first piece, whoever gave it."""
        if self._first_token_ms is None:
            self._first_token_ms = self._elapsed_ms()

    def tried(
        self,
        deployment: uuid.UUID | None,
        name: str,
        provider: str,
        model: str,
        outcome: str,
        error_type: str,
        ms: float,
    ) -> Answered:
        """One try has ended, well when there is no `error_type`; `name` is the deployment's, or empty for a model that
        was named itself. Gives what it took and cost.
        """
        said, self._said = self._said or _Said(), None
        tokens, is_estimate = said.tokens(self.asked, is_whole=not error_type)
        price = self._account(provider, model, tokens)
        self._is_estimate = self._is_estimate or is_estimate
        self._last = (deployment, provider, model)
        self._tries.append({
            "deployment": name, "provider": provider, "model": model, "outcome": outcome, "error": error_type[:100],
            "ms": round(ms, 1),
        })  # fmt: skip
        return Answered(tokens.input, tokens.output, price, ms)

    def finish(self, error: BaseException | None = None, notes: CallNotes | None = None) -> None:
        """Counts the call in and hands its row to the ledger. Never raises, and does nothing a second time."""
        if self._is_finished:
            return
        self._is_finished = True
        try:
            self._finish(error, notes or CallNotes())
        except Exception:
            logger.exception("model_call_not_recorded", target=self.target)

    def _finish(self, error: BaseException | None, notes: CallNotes) -> None:
        is_hit = bool(notes.provenance.tier) and not self._tries and self._said is None
        if self._said is not None or not (is_hit or self._tries or error):
            self._tried_by_name(error)
        self.context.meter.add(input_tokens=self._tokens.input, output_tokens=self._tokens.output, cost=self._cost)
        columns = self._columns(error) | _of_cache(notes, is_hit=is_hit)
        count_call(columns)
        ledger.calls.add(columns)

    def _tried_by_name(self, error: BaseException | None) -> None:
        """What nobody has told as a try: that of the model that was named, or the last one going on."""
        deployment, provider, model = self._last
        if not self._tries:
            provider, _colon, model = self.target.partition(":")
        self.tried(deployment, "", provider, model, _outcome(error), _kind_of(error), self._elapsed_ms())

    def _account(self, provider: str, model: str, tokens: Tokens) -> Decimal | None:
        """Adds a try to the sums. What used nothing costs nothing, whatever the price."""
        self._tokens = Tokens(
            self._tokens.input + tokens.input, self._tokens.output + tokens.output,
            self._tokens.cached + tokens.cached, self._tokens.reasoning + tokens.reasoning,
        )  # fmt: skip
        rate = price_of(provider, model, self.started_at)
        self._price_id = rate.id if rate else None
        if rate is not None:
            spent: Decimal | None = cost(tokens, rate)
        else:
            spent = None if tokens.input or tokens.output else Decimal(0)
        self._cost = None if spent is None or self._cost is None else self._cost + spent
        return spent

    def _columns(self, error: BaseException | None) -> dict[str, Any]:
        context = self.context
        deployment, provider, model = self._last
        asked_provider, _colon, asked_model = self.target.partition(":")
        return {
            "id": self.call_id,
            "created_at": self.started_at,
            "task_id": context.task_id,
            "fence": context.fence,
            "agent_id": context.agent_id,
            "agent_version_id": context.agent_version_id,
            "owner_id": context.owner_id,
            "route": self.target[:200],
            "deployment_id": deployment,
            # Of what was not tried, or came from the cache, what was asked for.
            "provider": (provider or asked_provider)[:50],
            "model": (model or asked_model)[:200],
            "tries": self._tries,
            "started_at": self.started_at,
            "latency_ms": self._elapsed_ms(),
            "first_token_ms": self._first_token_ms,
            "input_tokens": self._tokens.input,
            "output_tokens": self._tokens.output,
            "cached_tokens": self._tokens.cached,
            "reasoning_tokens": self._tokens.reasoning,
            "is_estimate": self._is_estimate,
            "cost": self._cost,
            "price_id": self._price_id,
            "outcome": _outcome(error),
            "error_type": _kind_of(error),
            "error_message": clean(str(error)) if error else "",
            "trace_id": context.trace_id or current_trace_id(),
            "span_id": current_span_id(),
        }

    def _elapsed_ms(self) -> float:
        return (time.perf_counter() - self._started) * 1000


def _of_cache(notes: CallNotes, *, is_hit: bool) -> dict[str, Any]:
    """What the cache did. A call that has cost something all the same is no hit."""
    found = notes.provenance
    said = {
        "cache_why": str(found.why)[:40],
        "cache_evidence": dict(found.evidence) if found.evidence else None,
        "similarity": found.similarity,
    }
    if not is_hit:
        return said
    return said | {
        "tier": str(found.tier),
        "cache_entry_id": found.entry_id,
        "age_seconds": found.age_seconds,
        "saved_input_tokens": found.saved_input_tokens,
        "saved_output_tokens": found.saved_output_tokens,
        "saved_cost": found.saved_cost,
        "saved_ms": found.saved_ms,
    }


def _outcome(error: BaseException | None) -> str:
    if error is None:
        return ModelCall.Outcome.SUCCEEDED.value
    return (ModelCall.Outcome.FAILED if isinstance(error, Exception) else ModelCall.Outcome.CANCELLED).value


def _kind_of(error: BaseException | None) -> str:
    return type(error).__name__[:100] if error else ""


def record_missed(target: str, context: CallContext, asked: int, *, waited: float, error: Exception) -> None:
    """The row of a call that has waited for so many seconds and was never begun."""
    recording = Recording(
        target, context, asked, started_at=timezone.now() - timedelta(seconds=waited),
        _started=time.perf_counter() - waited,
    )  # fmt: skip
    recording.finish(error)


def characters_of(messages: list[BaseMessage]) -> int:
    """How much text is asked, for an estimate."""
    return sum(len(message.text) for message in messages)
