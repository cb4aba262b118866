"""Tool calls that were begun and not finished: a person finds out whether they were done, and says so."""

from __future__ import annotations

import json
import uuid
from typing import Any, Final

from django.db import transaction
from django.utils import timezone
from django.utils.translation import gettext as _

from accounts import audit
from agents.tasks import endings
from agents.tasks.exceptions import IllegalTransition, InvalidInput
from agents.tasks.inputs import check_storable
from agents.tasks.models import Status, Task
from agents.tasks.services import finish_review
from agents.tools.exceptions import AlreadyDecided, UnknownToolCall
from agents.tools.ledger import MOST_RESULT_CHARACTERS
from agents.tools.models import ToolCall

RETRY: Final = "retry"
DONE: Final = "done"


def open_calls(task: Task) -> list[ToolCall]:
    """What of a task that needs review has to be decided."""
    if task.status != Status.NEEDS_REVIEW:
        return []
    return [*ToolCall.objects.filter(task=task, state=ToolCall.State.NEEDS_REVIEW).order_by("created_at", "id")]


def review_task(*, task: Task, decision: str, actor: audit.Actor, **said: Any) -> Task:
    """What becomes of a task that needs review, as `finish_review` takes it. Raises IllegalTransition, also for one
    that would only come back, because nobody has said what became of its calls.
    """
    if decision == "continue" and open_calls(task):
        raise IllegalTransition(_("Say first what became of its tool calls, with retry or done."))
    return finish_review(task=task, decision=decision, actor=actor, **said)


def review_call(*, task: Task, call_id: uuid.UUID, decision: str, actor: audit.Actor, result: Any = None) -> Task:
    """`retry`: it was not done, and is made again. `done`: it was, with this result (JSON), which the agent is given.

    The task goes on when no other call of it is left to decide. Gives the row as it is then. Raises IllegalTransition
    for a task that needs no review, UnknownToolCall, AlreadyDecided, InvalidInput.
    """
    if decision not in (RETRY, DONE):
        raise IllegalTransition(_("A review of a tool call ends with retry or done."))
    kept = _kept(result) if decision == DONE else None
    with transaction.atomic():
        rows = Task.objects.select_for_update(of=("self",)).select_related("agent_version__agent")
        current = rows.get(pk=task.pk)
        if current.status != Status.NEEDS_REVIEW:
            raise IllegalTransition(_("The task does not need a review."))
        call = ToolCall.objects.filter(task=current, pk=call_id).first()
        if call is None:
            raise UnknownToolCall
        if call.state != ToolCall.State.NEEDS_REVIEW:
            raise AlreadyDecided
        if decision == RETRY:
            call.state = ToolCall.State.READY
        else:
            call.state, call.result, call.ended_at = ToolCall.State.SUCCEEDED, kept, timezone.now()
        call.save(update_fields=["state", "result", "ended_at"])
        changes = {"task": str(current.pk), "tool": call.name, "decision": decision}
        audit.record(verb="tool_call.review", actor=actor, subject=call, changes=changes)
        if not open_calls(current):
            endings.queue_again(current, resume_with=None, reason="reviewed")
    return current


def _kept(result: Any) -> str:
    """As the ledger keeps it. Raises InvalidInput."""
    check_storable(result)
    text = json.dumps(result)
    if len(text) > MOST_RESULT_CHARACTERS:
        raise InvalidInput(_("The result is too long."))
    return text
