"""What rooms above want to do in the transaction that ends a task."""

from __future__ import annotations

import uuid
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any


@dataclass(frozen=True, slots=True)
class Finished:
    """A task that ends: its last status and, when it succeeded, its result (JSON)."""

    task_id: uuid.UUID
    status: str
    result: Any
    serial_key: str | None
    agent_version_id: uuid.UUID


Hook = Callable[[Finished], None]

_hooks: list[Hook] = []


def on_finished(hook: Hook) -> None:
    """`hook` runs in the transaction that ends a task with a serial key; what it raises undoes the end.

    Tasks without a serial key belong to nothing above this room, and end in a single statement.
    """
    if hook not in _hooks:
        _hooks.append(hook)


def are_wanted(serial_key: str | None) -> bool:
    """Whether any hook has to run when a task with this serial key ends."""
    return bool(_hooks) and serial_key is not None


def run(finished: Finished) -> None:
    """Calls every hook."""
    for hook in _hooks:
        hook(finished)
