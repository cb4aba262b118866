"""Parts of the task page that rooms above add: what they know of a task."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from agents.tasks.models import Task


@dataclass(frozen=True, slots=True)
class Panel:
    """A titled part; `load` gives the context of its template."""

    title: Any
    template: str
    load: Callable[[Task], dict[str, Any]]


_panels: list[Panel] = []


def register_panel(panel: Panel) -> None:
    """Adds it at the end; in a room's admin module."""
    _panels.append(panel)


def panels_of(task: Task) -> list[dict[str, Any]]:
    """Title, template and context of each."""
    return [{"title": panel.title, "template": panel.template, **panel.load(task)} for panel in _panels]
