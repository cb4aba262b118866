"""People's word on what agents want to do: approve it, change it, refuse it, or let it expire."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import Any, Final

import jsonschema
from django.db import transaction
from django.db.models import Min
from django.utils import timezone
from django.utils.translation import gettext as _

from accounts import audit
from accounts.models import User
from agents.definitions.policy import Policy
from agents.tasks import endings
from agents.tasks.attempts import wait
from agents.tasks.data import NOTHING, Claim, Failure, NewEvent, Usage
from agents.tasks.exceptions import InvalidInput
from agents.tasks.inputs import check_storable
from agents.tasks.models import Status, Task, WaitingFor
from agents.tools.exceptions import AlreadyDecided, InvalidArguments
from agents.tools.models import Approval, ToolCall
from telemetry.masking import MASK

DECISIONS: Final = ("approve", "edit", "refuse")
_STATES: Final = {
    "approve": Approval.State.APPROVED, "edit": Approval.State.EDITED, "refuse": Approval.State.REFUSED,
}  # fmt: skip


def decide(
    *, approval: Approval, decision: str, user: User, actor: audit.Actor, arguments: Any = None, reason: str = ""
) -> Approval:
    """What a person says about one call; the caller has checked that they may. Gives the row as it is then.

    `approve`, `edit` (with other arguments, an object that fits the tool) or `refuse` (the model is told the reason).
    The task goes on when all its calls are decided. Raises AlreadyDecided, InvalidArguments.
    """
    if decision not in DECISIONS:
        raise InvalidArguments(_("An approval is decided with approve, edit or refuse."))
    if decision == "edit":
        check_arguments(arguments, approval.arguments_schema, shown=approval.arguments)
    with transaction.atomic():
        # The task first: in this order everybody locks.
        task = _locked_task(approval)
        current = Approval.objects.select_for_update(of=("self",)).get(pk=approval.pk)
        current.task = task
        if not current.is_open or current.expires_at <= timezone.now():
            raise AlreadyDecided
        _write(current, _STATES[decision], user=user, edited=arguments if decision == "edit" else None, reason=reason)
        changes = {"task": str(task.pk), "tool": current.tool, "decision": decision}
        audit.record(verb="approval.decide", actor=actor, subject=current, changes=changes)
        _go_on(task, reason="decided")
    return current


def check_arguments(arguments: Any, schema: Mapping[str, Any], *, shown: Mapping[str, Any]) -> None:
    """Raises InvalidArguments for what the tool would not take. What is masked stays as it was, and is not checked."""
    if not isinstance(arguments, dict):
        raise InvalidArguments(_("The arguments have to be a JSON object."))
    if unknown := sorted(arguments.keys() - schema.get("properties", arguments).keys()):
        raise InvalidArguments(_("The tool has no argument “%(name)s”.") % {"name": unknown[0]})
    try:
        check_storable(arguments)
        jsonschema.validate(arguments, dict(schema))
    except InvalidInput as error:
        raise InvalidArguments(str(error)) from error
    except jsonschema.ValidationError as error:
        if error.instance != MASK:
            where = ".".join(str(part) for part in error.absolute_path)
            raise InvalidArguments(f"{where}: {error.message}"[:500] if where else error.message[:500]) from error


def wait_for_approvals(
    *, claim: Claim, data: Mapping[str, Any], usage: Usage = NOTHING, events: Sequence[NewEvent] = ()
) -> str:
    """Ends the attempt; the task waits until the calls that need it are decided, which may be at once: somebody can
    have decided while other tools of the step still ran. Gives the task's status. Raises LeaseLost.
    """
    with transaction.atomic():
        pending = Approval.objects.filter(task=claim.task_id, state=Approval.State.PENDING)
        until: datetime | None = pending.aggregate(until=Min("expires_at"))["until"]
        seconds = max(0.0, (until - timezone.now()).total_seconds()) if until else 0.0
        status = wait(
            claim=claim, waiting_for=WaitingFor.APPROVAL, seconds=seconds, data=data, usage=usage, events=events
        )
        if status == Status.WAITING:
            _go_on(Task.objects.select_related("agent_version__agent").get(pk=claim.task_id), reason="decided")
    return status


def expire(task: Task) -> None:
    """Nobody came in time. The caller has locked the task's row."""
    policy = Policy.of(task.agent_version.policy)
    for approval in Approval.objects.filter(task=task, state=Approval.State.PENDING):
        _write(approval, Approval.State.EXPIRED, user=None)
        changes = {"task": str(task.pk), "tool": approval.tool, "decision": "expired"}
        audit.record(verb="approval.expire", actor=audit.SYSTEM, subject=approval, changes=changes)
    if policy.on_expired_approval == "fail":
        failure = Failure("ApprovalExpired", _("Nobody approved in time what the agent wanted to do."))
        endings.finish(task, Status.FAILED, failure=failure)
    else:
        endings.queue_again(task, resume_with=None, reason="approval_expired")


def _go_on(task: Task, *, reason: str) -> None:
    """Lets a task that waits for approvals go on when none is left. Its row is locked."""
    if task.status != Status.WAITING or task.waiting_for != WaitingFor.APPROVAL:
        return
    if not Approval.objects.filter(task=task, state=Approval.State.PENDING).exists():
        endings.queue_again(task, resume_with=None, reason=reason)


def _write(
    approval: Approval, state: Approval.State, *, user: User | None, edited: Any = None, reason: str = ""
) -> None:
    approval.state, approval.decided_at, approval.decided_by = state, timezone.now(), user
    approval.edited_arguments, approval.reason = edited, reason.replace("\x00", "")[:2_000]
    approval.save(update_fields=["state", "decided_at", "decided_by", "edited_arguments", "reason"])
    follows = {
        Approval.State.REFUSED: ToolCall.State.REFUSED, Approval.State.EXPIRED: ToolCall.State.EXPIRED,
    }.get(state, ToolCall.State.READY)  # fmt: skip
    ToolCall.objects.filter(pk=approval.tool_call_id, state=ToolCall.State.AWAITING).update(state=follows)


def _locked_task(approval: Approval) -> Task:
    rows = Task.objects.select_for_update(of=("self",)).select_related("agent_version__agent")
    return rows.get(pk=approval.task_id)
