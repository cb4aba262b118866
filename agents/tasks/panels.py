"""Parts of the task page that rooms above add: what they know of a task."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from accounts.models import User
from agents.tasks.models import Task


@dataclass(frozen=True, slots=True)
class Panel:
    """A titled part; `load` gives the context of its template. `permission` is what a person needs to be shown it,
    beside the right to see tasks; empty for nothing more.
    """

    title: Any
    template: str
    load: Callable[[Task], dict[str, Any]]
    permission: str = ""


_panels: list[Panel] = []


def register_panel(panel: Panel) -> None:
    """Adds it at the end; in a room's admin module."""
    _panels.append(panel)


def panels_of(task: Task, user: User) -> list[dict[str, Any]]:
    """Title, template and context of each that this person may see."""
    return [
        {"title": panel.title, "template": panel.template, **panel.load(task)}
        for panel in _panels
        if not panel.permission or user.has_perm(panel.permission)
    ]
