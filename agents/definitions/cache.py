"""Answers remembered in this process for a few seconds, because every request asks for its agent.

Other processes see a change after AGENT_CACHE_SECONDS at the latest, this one at once. Zero remembers
nothing.
"""

from __future__ import annotations

import threading
import time
import uuid
from collections.abc import Callable, Hashable
from typing import Generic, TypeVar

from django.conf import settings
from django.db import transaction

from agents.definitions.models import Agent

Key = TypeVar("Key", bound=Hashable)
Answer = TypeVar("Answer")


class Remembered(Generic[Key, Answer]):
    """At most `most` answers, each for AGENT_CACHE_SECONDS."""

    def __init__(self, *, most: int) -> None:
        self._most = most
        self._answers: dict[Key, tuple[float, Answer]] = {}
        self._lock = threading.Lock()
        self._generation = 0

    def get(self, key: Key, find: Callable[[], Answer]) -> Answer:
        """The remembered answer, or what `find` says now."""
        now = time.monotonic()
        known = self._answers.get(key)
        if known is not None and known[0] > now:
            return known[1]
        generation = self._generation
        answer = find()
        seconds: float = getattr(settings, "AGENT_CACHE_SECONDS", 0)
        if seconds > 0:
            self._keep(key, (now + seconds, answer), generation)
        return answer

    def forget(self) -> None:
        """Forgets everything, also what is being looked up at this moment."""
        with self._lock:
            self._generation += 1
            self._answers.clear()

    def _keep(self, key: Key, entry: tuple[float, Answer], generation: int) -> None:
        with self._lock:
            if generation != self._generation:
                return
            if len(self._answers) >= self._most:
                self._answers.clear()
            self._answers[key] = entry


agents: Remembered[str, Agent | None] = Remembered(most=1_000)
rights: Remembered[tuple[uuid.UUID, str], bool] = Remembered(most=10_000)


def forget() -> None:
    """Forgets every remembered agent and right in this process."""
    agents.forget()
    rights.forget()


def forget_on_commit() -> None:
    """The same, once the transaction in which agents change is committed."""
    transaction.on_commit(forget)
