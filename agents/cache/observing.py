"""Who learns from what the semantic tier does. They are told beside the calls, never in their way."""

from __future__ import annotations

import uuid
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any, Literal

from agents.cache.background import background
from agents.gateway.answers import ModelRequest
from agents.gateway.models import CacheWhy

Outcome = Literal[CacheWhy.HIT, CacheWhy.NEAR_MISS, CacheWhy.BLOCKED]


@dataclass(frozen=True, slots=True)
class Compared:
    """A request, and the entry that came nearest to it.

    Of a hit `entry_id` was served. Of a near miss and of one that a guard blocked the provider was asked:
    `new_entry_id` is what was kept of its answer, None for nothing. `dialogue` is the request's, by role and content.
    """

    outcome: Outcome
    request: ModelRequest
    dialogue: tuple[Mapping[str, str], ...]
    entry_id: uuid.UUID
    new_entry_id: uuid.UUID | None
    call_id: uuid.UUID | None
    score: float
    similarity: float
    threshold: float
    evidence: Mapping[str, Any]


@dataclass(frozen=True, slots=True)
class Rejected:
    """Somebody says that an entry's answer is wrong. `question` is the call that it was served to, if it was."""

    entry_id: uuid.UUID
    call_id: uuid.UUID | None
    similarity: float | None
    evidence: Mapping[str, Any]


_on_compared: list[Callable[[Compared], object]] = []
_on_rejected: list[Callable[[Rejected], object]] = []


def on_compared(observer: Callable[[Compared], object]) -> None:
    """`observer` is called on a thread of the cache; what it raises is logged."""
    if observer not in _on_compared:
        _on_compared.append(observer)


def on_rejected(observer: Callable[[Rejected], object]) -> None:
    """`observer` is called in the transaction that evicts the entry; what it raises goes through."""
    if observer not in _on_rejected:
        _on_rejected.append(observer)


def forget() -> None:
    """Nobody learns any more (for tests)."""
    _on_compared.clear()
    _on_rejected.clear()


def tell_compared(compared: Compared) -> None:
    """Tells everybody who learns, beside the call."""
    for observer in _on_compared:
        background.do(observer, compared)


def tell_rejected(rejected: Rejected) -> None:
    """Tells everybody who learns."""
    for observer in _on_rejected:
        observer(rejected)
