"""Where an attempt begins that is not the first: after a crash, a retry, a wait, or a deploy in between."""

from __future__ import annotations

from collections.abc import Iterable
from datetime import UTC, datetime
from typing import Any, Final, cast

from django.db import transaction
from django.utils.translation import gettext as _
from langgraph.checkpoint.base import CheckpointTuple
from langgraph.types import Command, Interrupt

from agents.definitions.data import VersionData
from agents.definitions.policy import Policy
from agents.definitions.services import installed_digest
from agents.runtime.exceptions import ReviewWanted
from agents.runtime.housekeeping import forget
from agents.runtime.saver import DjangoSaver
from agents.tasks.data import Claim, Failure, NewEvent
from agents.tasks.models import TaskEvent
from agents.tasks.questions import questions_of
from agents.tasks.services import append_events
from agents.tools.ledger import has_effects

_INTERRUPTS: Final = "__interrupt__"


def saved_state(claim: Claim, version: VersionData, saver: DjangoSaver, config: Any) -> CheckpointTuple | None:
    """The checkpoint to go on from, None to begin from the input. Raises ReviewWanted, LeaseLost."""
    saved = saver.get_tuple(config) if claim.fence > 1 else None
    installed = installed_digest(version.slug) if saved is not None else None
    if installed is None or installed == version.digest or _is_settled(claim, installed):
        return saved
    choice: str = Policy.of(version.policy).on_changed_code
    if choice == "restart" and has_effects(claim.task_id):
        choice = "review"
    said = {"changed_code": {"started_with": version.digest, "installed": installed, "then": choice}}
    event = NewEvent(TaskEvent.Kind.CUSTOM, {"data": said}, datetime.now(UTC))
    if choice == "review":
        raise ReviewWanted(_changed_code(), events=(event,))
    with transaction.atomic():
        # The event proves the fence, and locks the row, before anything is forgotten.
        append_events(claim, [event])
        if choice == "restart":
            forget(task_ids=[claim.task_id])
            saved = None
    return saved


def resumed_with(claim: Claim, saved: CheckpointTuple) -> Command[Any] | None:
    """What LangGraph is given to go on: the answers to questions that are still open, else nothing.

    The row keeps an answer until the task waits again, so that a crash loses none. What the graph has taken in
    already is seen in its checkpoint: the question is no longer open there, and is not answered twice.
    """
    # The row has no answer any more when the task has stopped for something else since.
    asked = questions_of(claim.task_id)
    if not asked:
        return None
    writes = saved.pending_writes or []
    pending = {each.id for _node, channel, value in writes if channel == _INTERRUPTS for each in _interrupts(value)}
    answers = _answers(claim.resume_with, [question["id"] for question in asked])
    given = {name: answer for name, answer in answers.items() if name in pending}
    return Command(resume=given) if given else None


def _answers(value: Any, ids: list[str]) -> dict[str, Any]:
    """One value answers every question; an object with the questions' ids answers each with its own."""
    if isinstance(value, dict) and value and value.keys() <= set(ids):
        return cast("dict[str, Any]", value)
    return dict.fromkeys(ids, value)


def _interrupts(value: Any) -> Iterable[Interrupt]:
    return [each for each in (value if isinstance(value, list | tuple) else [value]) if isinstance(each, Interrupt)]


def _is_settled(claim: Claim, installed: str) -> bool:
    """Whether this very change was met before: what was decided then holds, and after a review the task continues."""
    met = TaskEvent.objects.filter(task=claim.task_id, kind=TaskEvent.Kind.CUSTOM)
    return met.filter(data__data__changed_code__installed=installed).exists()


def _changed_code() -> Failure:
    return Failure("CodeChanged", _("The agent's code has changed since the task began; it may not fit what was done."))
