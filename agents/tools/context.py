"""What a tool's call knows of the run that it is part of. The runtime, which stands above, sets it."""

from __future__ import annotations

import hashlib
import threading
import uuid
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from dataclasses import dataclass, field
from typing import Any, NoReturn

from agents.tools.exceptions import NoToolCall

Place = tuple[str, int]
"""Where in the graph (LangGraph's name of a node's run, the same after a crash) and its how manieth try there."""


@dataclass(frozen=True, slots=True, kw_only=True)
class RunContext:
    """One attempt at one task, as far as tools have to know it.

    `place` tells where in the graph its caller is; `make_durable` returns when nothing that the place depends on can
    be lost; `pause` ends the attempt in an orderly way ("review", "approval"), with data for whoever ends it.
    """

    task_id: uuid.UUID
    fence: int
    place: Callable[[], Place]
    make_durable: Callable[[], None]
    pause: Callable[[str, dict[str, Any]], NoReturn]
    release: Callable[[], None]
    approve: tuple[str, ...] = ()
    approval_seconds: int = 86_400
    _counts: Counter[str] = field(default_factory=Counter)
    _lock: threading.Lock = field(default_factory=threading.Lock)

    def key_of(self, subject: str, *, call_id: str | None = None) -> str:
        """The same for the same call in every attempt.

        With the model's id for it, that and the place; models reuse such ids, but not in one place. Without, the
        subject (name and arguments) and how manieth of that kind it is in its place.
        """
        place, attempt = self.place()
        if call_id:
            return _digest(place, "id", call_id)
        kind = _digest(place, "subject", subject)
        with self._lock:
            ordinal = self._counts[f"{kind} {attempt}"]
            self._counts[f"{kind} {attempt}"] += 1
        return _digest(kind, str(ordinal))


_run: ContextVar[RunContext | None] = ContextVar("mutirao_tools_run", default=None)
_call: ContextVar[uuid.UUID | None] = ContextVar("mutirao_tool_call", default=None)


@contextmanager
def running(context: RunContext) -> Iterator[None]:
    """Tools called inside belong to this run."""
    token = _run.set(context)
    try:
        yield
    finally:
        _run.reset(token)


def current_run() -> RunContext | None:
    """The run that this is called in, if any."""
    return _run.get()


@contextmanager
def calling(call_id: uuid.UUID) -> Iterator[None]:
    """Inside is this call's tool."""
    token = _call.set(call_id)
    try:
        yield
    finally:
        _call.reset(token)


def idempotency_key() -> str:
    """For a tool with effects: what to send as `Idempotency-Key`, the same whenever this call is repeated.

    Raises NoToolCall outside a task, and in a tool without effects.
    """
    call_id = _call.get()
    if call_id is None:
        raise NoToolCall
    return str(call_id)


def _digest(*parts: str) -> str:
    return hashlib.sha256("\x1f".join(parts).encode()).hexdigest()
