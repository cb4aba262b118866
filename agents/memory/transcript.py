"""What a task's events say of its answer: pieces put together, tools with their results."""

from __future__ import annotations

import uuid
from collections.abc import Iterable
from dataclasses import dataclass, replace
from typing import Any

from agents.tasks.models import Status, TaskEvent

_ATTEMPT_BEGINS = (Status.QUEUED, Status.RUNNING)


@dataclass(frozen=True, slots=True)
class ToolUse:
    """One call of a tool. `result` is None while there is none; `args` is a JSON value."""

    id: str
    name: str
    args: Any
    result: str | None = None
    is_error: bool = False


def tools_of(events: Iterable[tuple[str, dict[str, Any]]]) -> list[ToolUse]:
    """The calls among these events (kind, data) in their order, each with its result."""
    uses: dict[str, ToolUse] = {}
    for kind, data in events:
        key = str(data.get("id"))
        if kind == TaskEvent.Kind.TOOL_CALL:
            uses[key] = ToolUse(key, str(data.get("name")), data.get("args"))
        elif kind == TaskEvent.Kind.TOOL_RESULT:
            called = uses.get(key, ToolUse(key, str(data.get("name")), None))
            uses[key] = replace(called, result=str(data.get("content")), is_error=bool(data.get("error")))
    return [*uses.values()]


def last_text(events: Iterable[tuple[str, dict[str, Any]]]) -> str:
    """What the agent was saying last.

    A step that is done closes a text; an attempt that begins repeats the step that was not done, so what was
    said of it before does not count; nor does what a message said before it began anew.
    """
    said: list[str] = []
    for kind, data in events:
        if kind == TaskEvent.Kind.MESSAGE:
            if data.get("restart"):
                said.clear()
            said.append(str(data.get("text", "")))
        elif kind == TaskEvent.Kind.STEP or (kind == TaskEvent.Kind.STATUS and data.get("status") in _ATTEMPT_BEGINS):
            said.clear()
    return "".join(said)


def unfinished_text(task_id: uuid.UUID) -> str:
    """What a task had begun to say when it was stopped; empty when it had said nothing."""
    events = TaskEvent.objects.filter(task_id=task_id).order_by("number").values_list("kind", "data")
    return last_text(events.iterator()).strip()
