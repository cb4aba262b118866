"""A task's log as a person reads it: message pieces put together, and not more than fits a page."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

from agents.tasks.models import Status, Task, TaskEvent

MOST_EVENTS = 500


@dataclass(frozen=True, slots=True)
class Line:
    """One entry, or several pieces of a message. `after` is the time since the task was accepted."""

    first: int
    last: int
    kind: str
    label: str
    fence: int
    after: timedelta
    text: str
    data: dict[str, Any]


def timeline_of(task: Task) -> tuple[list[Line], bool]:
    """The first MOST_EVENTS events as lines, and whether there are more."""
    events = [*task.events.order_by("number")[: MOST_EVENTS + 1]]
    lines: list[Line] = []
    for event in events[:MOST_EVENTS]:
        last = lines[-1] if lines else None
        if last and last.kind == event.kind == TaskEvent.Kind.MESSAGE and last.fence == event.fence:
            lines[-1] = _joined(last, event)
        else:
            lines.append(_line(event, task.created_at))
    return lines, len(events) > MOST_EVENTS


def _joined(line: Line, event: TaskEvent) -> Line:
    text = ("" if event.data.get("restart") else line.text) + str(event.data.get("text", ""))
    return Line(line.first, event.number, line.kind, line.label, line.fence, line.after, text, {})


def _line(event: TaskEvent, accepted: datetime) -> Line:
    return Line(
        first=event.number,
        last=event.number,
        kind=event.kind,
        label=str(event.get_kind_display()),
        fence=event.fence,
        after=event.created_at - accepted,
        text=_text(event),
        data=event.data,
    )


def _status(data: dict[str, Any]) -> str:
    """In the reader's language; a state that this version does not know, as it is."""
    said = str(data.get("status"))
    return str(dict(Status.choices).get(said, said))


def _text(event: TaskEvent) -> str:
    """What matters of it in one line."""
    data = event.data
    match event.kind:
        case TaskEvent.Kind.STATUS:
            error = data.get("error")
            return f"{_status(data)}: {error['message']}" if error else _status(data)
        case TaskEvent.Kind.MESSAGE:
            return str(data.get("text", ""))
        case TaskEvent.Kind.STEP:
            return str(data.get("node", ""))
        case TaskEvent.Kind.TOOL_CALL:
            arguments = ", ".join(f"{name}={value!r}" for name, value in (data.get("args") or {}).items())
            return f"{data.get('name')}({arguments})"
        case TaskEvent.Kind.TOOL_RESULT:
            return f"{data.get('name')} → {data.get('content')}"
    return str(data)
