"""What rooms above want to do in the transaction that ends a task."""

from __future__ import annotations

import uuid
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any


@dataclass(frozen=True, slots=True)
class Ties:
    """What of a task may matter to others when it ends."""

    serial_key: str | None
    webhook_url: str
    owner_id: uuid.UUID
    # Something is reserved for it under a quota.
    is_metered: bool = False


@dataclass(frozen=True, slots=True)
class Finished:
    """A task that ends: its last status and, when it succeeded, its result (JSON)."""

    task_id: uuid.UUID
    status: str
    result: Any
    agent_version_id: uuid.UUID
    ties: Ties


Hook = Callable[[Finished], None]
Wants = Callable[[Ties], bool]

_hooks: list[tuple[Hook, Wants]] = []


def on_finished(hook: Hook, *, wants: Wants) -> None:
    """`hook` runs in the transaction that ends a task with such ties; what it raises undoes the end.

    A task that nobody wants to hear of ends in a single statement: `wants` is asked for every task, so it has to be
    quick and should say no to most.
    """
    if (hook, wants) not in _hooks:
        _hooks.append((hook, wants))


def are_wanted(ties: Ties) -> bool:
    """Whether any hook has to run when a task with these ties ends."""
    return any(wants(ties) for _, wants in _hooks)


def run(finished: Finished) -> None:
    """Calls the hooks that want it."""
    for hook, wants in _hooks:
        if wants(finished.ties):
            hook(finished)
