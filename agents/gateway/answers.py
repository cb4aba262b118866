"""What may answer in a provider's place. The cache stands above the gateway, so it makes itself known here."""

from __future__ import annotations

import uuid
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from decimal import Decimal
from typing import TYPE_CHECKING, Any, Protocol

from agents.gateway.data import CallContext

if TYPE_CHECKING:
    from langchain_core.messages import BaseMessage
    from langchain_core.outputs import ChatGeneration

Pieces = Callable[[], "Iterator[ChatGeneration]"]
"""Asks the provider: chunks of a streamed answer, or one whole ChatGeneration."""


@dataclass(frozen=True, slots=True)
class ModelRequest:
    """One request to a model, complete.

    `target` is a route or `provider:model`, as it was asked for; `options` hold everything else that was bound or given
    for this call (tools, tool_choice, response_format, stop …), as the provider's client takes it.

    `ends` is when the call has to have ended (time.monotonic() seconds); `look` raises when nobody waits for it any
    more, or the run has to stop. Without `may_restart` what has been said cannot be taken back.
    """

    target: str
    parameters: Mapping[str, Any]
    messages: Sequence[BaseMessage]
    options: Mapping[str, Any]
    streamed: bool
    context: CallContext
    ends: float | None = None
    look: Callable[[], None] | None = None
    may_restart: bool = True


@dataclass(slots=True)
class Provenance:
    """Where an answer comes from. `tier` (a models.Tier) is empty for one that a provider gave; `why` (a
    models.CacheWhy) says what the cache made of the request, and is empty where there is none. `similarity` and
    `evidence` are also there of what came near and was not given.
    """

    tier: str = ""
    why: str = ""
    entry_id: uuid.UUID | None = None
    similarity: float | None = None
    age_seconds: float | None = None
    evidence: Mapping[str, Any] | None = None
    saved_input_tokens: int = 0
    saved_output_tokens: int = 0
    saved_cost: Decimal | None = None
    saved_ms: float = 0.0


@dataclass(frozen=True, slots=True)
class Answered:
    """What a provider's answer has cost, told to whoever keeps it. `cost` is None where the price is not known."""

    input_tokens: int
    output_tokens: int
    cost: Decimal | None
    latency_ms: float


@dataclass(slots=True)
class CallNotes:
    """What is noted of one call while it goes on. The gateway fills `answered` when the provider's pieces have come to
    their good end; the cache fills `provenance`.
    """

    provenance: Provenance = field(default_factory=Provenance)
    answered: Answered | None = None
    # The ledger row that this call will have.
    call_id: uuid.UUID | None = None


class Answers(Protocol):
    """Gives answers that are there already, and asks the provider for the others."""

    def through(self, request: ModelRequest, ask: Pieces, notes: CallNotes) -> Iterator[ChatGeneration]:
        """The pieces of the answer. Calls `ask` at most once, or not at all; what `ask` raises goes through."""


_answers: Answers | None = None


def register_answers(answers: Answers | None) -> None:
    """Called when the application starts; None takes it out again (for tests)."""
    global _answers
    _answers = answers


def through(request: ModelRequest, ask: Pieces, notes: CallNotes) -> Iterator[ChatGeneration]:
    """The pieces of the answer: what is registered decides where they come from."""
    return ask() if _answers is None else _answers.through(request, ask, notes)
