"""What happens to a tool call before and after the tool: the ledger.

A row is written before the tool begins and when it has ended, each time with the proof, in the same transaction, that
the task is still this attempt's. An attempt that comes later finds there what has been done.
"""

from __future__ import annotations

import json
import uuid
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import timedelta
from typing import Any, Final

from django.db import transaction
from django.utils import timezone
from django.utils.translation import gettext as _

from agents.tasks.exceptions import LeaseLost
from agents.tasks.models import Status, Task
from agents.tools.context import RunContext
from agents.tools.models import Approval, Effects, ToolCall
from agents.tools.traits import Traits
from telemetry.masking import masked

State = ToolCall.State

MOST_RESULT_CHARACTERS: Final = 1_000_000
MOST_SHOWN_CHARACTERS: Final = 20_000
MOST_ERROR_CHARACTERS: Final = 2_000


@dataclass(frozen=True, slots=True, kw_only=True)
class Asked:
    """A call that an agent wants to make. `arguments` are shown to people and therefore made fit for that."""

    key: str
    name: str
    arguments: Mapping[str, Any]
    traits: Traits
    description: str = ""
    schema: Mapping[str, Any] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Begun:
    """The tool is to be called now; with other arguments when a person has changed them."""

    call_id: uuid.UUID
    edited: Mapping[str, Any] | None = None


@dataclass(frozen=True, slots=True)
class Done:
    """It was called before: this came of it."""

    result: Any


@dataclass(frozen=True, slots=True)
class Denied:
    """It is not called: the model is told this."""

    message: str


def begin(run: RunContext, asked: Asked) -> Begun | Done | Denied:
    """What is to be done about this call. Pauses the run when a person has to say. Raises LeaseLost."""
    run.make_durable()
    with transaction.atomic():
        hold(run)
        call = ToolCall.objects.filter(task=run.task_id, key=asked.key).first() or _new(run, asked)
        step = _step(run, call)
    if isinstance(step, tuple):
        run.release()
        run.pause(*step)
    return step


def succeed(run: RunContext, call_id: uuid.UUID, result: str | None) -> None:
    """Notes the result (JSON; None for one that cannot be kept). Raises LeaseLost."""
    if result is not None and len(result) > MOST_RESULT_CHARACTERS:
        result = None
    _end(run, call_id, state=State.SUCCEEDED, result=result)


def fail(run: RunContext, call_id: uuid.UUID, message: str) -> None:
    """Notes the error that the model is told. Raises LeaseLost."""
    _end(run, call_id, state=State.FAILED, error=message.replace("\x00", "")[:MOST_ERROR_CHARACTERS])


def stop(run: RunContext, call_id: uuid.UUID) -> None:
    """The tool itself waits for something, and begins again then. Raises LeaseLost."""
    _end(run, call_id, state=State.READY)


def hold(run: RunContext) -> None:
    """The task is this attempt's until the end of the transaction. Raises LeaseLost."""
    rows = Task.objects.select_for_update(of=("self",), no_key=True).order_by()
    held = rows.filter(pk=run.task_id, fence=run.fence, status=Status.RUNNING).values_list("pk")
    if held.first() is None:
        raise LeaseLost


def has_effects(task_id: uuid.UUID) -> bool:
    """Whether a tool with effects has begun for this task: to begin anew would perhaps repeat it."""
    begun = ToolCall.objects.filter(task=task_id, times__gte=1)
    return begun.exclude(effects=Effects.NONE).exists()


def shown(arguments: Mapping[str, Any]) -> dict[str, Any]:
    """Arguments as people see them and rows keep them: plain JSON without secrets, bounded."""
    found: Any = masked(dict(arguments))
    text = json.dumps(found, default=str, ensure_ascii=False)
    if len(text) > MOST_SHOWN_CHARACTERS:
        return {"…": _clean(text[:MOST_SHOWN_CHARACTERS])}
    plain: dict[str, Any] = json.loads(_clean(json.dumps(found, default=str, ensure_ascii=False)))
    return plain


def _clean(text: str) -> str:
    """Without what a database's JSON cannot keep."""
    return text.replace("\\u0000", "").replace("\x00", "").encode("utf-8", "ignore").decode()


def _new(run: RunContext, asked: Asked) -> ToolCall:
    waits = asked.traits.needs_approval
    call = ToolCall.objects.create(
        task_id=run.task_id, key=asked.key, name=asked.name[:100], arguments=shown(asked.arguments),
        effects=asked.traits.effects, state=State.AWAITING if waits else State.READY, fence=run.fence,
    )  # fmt: skip
    if waits:
        Approval.objects.create(
            task_id=run.task_id, tool_call=call, tool=call.name, description=asked.description,
            arguments=call.arguments, arguments_schema=dict(asked.schema),
            expires_at=timezone.now() + timedelta(seconds=run.approval_seconds),
        )  # fmt: skip
    return call


Step = Begun | Done | Denied | tuple[str, dict[str, Any]]


def _step(run: RunContext, call: ToolCall) -> Step:
    """What the state of the row asks for; a pair is a pause."""
    match call.state:
        case State.READY:
            return _started(run, call)
        case State.STARTED if call.effects != Effects.ONCE:
            return _started(run, call)
        case State.SUCCEEDED if call.result is not None:
            return Done(call.value)
        case State.FAILED:
            return Denied(call.error)
        case State.REFUSED | State.EXPIRED:
            return Denied(_refusal(call))
        case State.AWAITING:
            return "approval", {"tool": call.name}
    # Begun and not ended, or ended with a result that could not be kept: only a person can find out.
    ToolCall.objects.filter(pk=call.pk).update(state=State.NEEDS_REVIEW)
    return "review", {"tool": call.name, "arguments": call.arguments, "tool_call": str(call.pk)}


def _started(run: RunContext, call: ToolCall) -> Begun:
    ToolCall.objects.filter(pk=call.pk).update(
        state=State.STARTED, fence=run.fence, times=call.times + 1, started_at=timezone.now(), ended_at=None
    )
    edited = Approval.objects.filter(tool_call=call, state=Approval.State.EDITED)
    return Begun(call.pk, edited.values_list("edited_arguments", flat=True).first())


def _refusal(call: ToolCall) -> str:
    if call.state == State.EXPIRED:
        return _("Nobody approved this call in time; it was not made.")
    reason = Approval.objects.filter(tool_call=call).values_list("reason", flat=True).first()
    said = _("A person refused this call; it was not made.")
    return f"{said} {reason}" if reason else said


def _end(run: RunContext, call_id: uuid.UUID, **changes: Any) -> None:
    with transaction.atomic():
        hold(run)
        ToolCall.objects.filter(pk=call_id).update(ended_at=timezone.now(), **changes)
