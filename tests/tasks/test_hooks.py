"""What rooms above do in the transaction that ends a task."""

from __future__ import annotations

from collections.abc import Callable

import pytest
from django.db import connection

from accounts.audit import SYSTEM
from accounts.models import AuditEvent
from agents.tasks import hooks, services
from agents.tasks.data import Claim, Failure
from agents.tasks.endings import ties_of
from agents.tasks.models import Task
from tests.tasks.conftest import Put, Take, piece, snapshot

pytestmark = pytest.mark.django_db(transaction=True)

ENDS: dict[str, Callable[[Claim], object]] = {
    "succeeded": lambda held: services.succeed(claim=held, result={"text": "x"}, events=[piece()]),
    "failed": lambda held: services.fail(claim=held, failure=Failure("Broken", "It broke.", retryable=False)),
    "cancelled": lambda held: services.finish_cancelled(claim=held),
}


class Refused(Exception):
    """The room above cannot do its part."""


def with_serial_key(ties: hooks.Ties) -> bool:
    return ties.serial_key is not None


def refuse(_finished: hooks.Finished) -> None:
    raise Refused


@pytest.mark.parametrize("status", ENDS)
def test_a_hook_hears_of_the_end_within_its_transaction(put: Put, take: Take, status: str) -> None:
    task = put(serial_key="s")
    heard: list[tuple[hooks.Finished, bool, str]] = []

    def listen(finished: hooks.Finished) -> None:
        heard.append((finished, connection.in_atomic_block, Task.objects.get(pk=finished.task_id).status))

    hooks.on_finished(listen, wants=with_serial_key)
    hooks.on_finished(listen, wants=with_serial_key)
    ENDS[status](take())
    result = {"text": "x"} if status == "succeeded" else None
    assert heard == [(hooks.Finished(task.pk, status, result, task.agent_version_id, ties_of(task)), True, status)]


@pytest.mark.parametrize("status", ENDS)
def test_what_a_hook_raises_undoes_the_end(put: Put, take: Take, status: str) -> None:
    put(serial_key="s")
    held = take()
    before = snapshot(held.task_id)
    hooks.on_finished(refuse, wants=with_serial_key)
    with pytest.raises(Refused):
        ENDS[status](held)
    assert snapshot(held.task_id) == before


@pytest.mark.parametrize("status", ENDS)
def test_the_end_of_a_task_without_a_serial_key_concerns_nobody(put: Put, take: Take, status: str) -> None:
    task = put()
    hooks.on_finished(refuse, wants=with_serial_key)
    ENDS[status](take())
    task.refresh_from_db()
    assert task.status == status


def test_an_attempt_that_is_not_the_last_one_concerns_nobody(put: Put, take: Take) -> None:
    task = put(serial_key="s")
    hooks.on_finished(refuse, wants=with_serial_key)
    services.hand_back(claim=take())
    services.fail(claim=take(), failure=Failure("Busy", "Later."))
    task.refresh_from_db()
    assert (task.status, task.fence) == ("queued", 2)


def test_a_hook_hears_of_a_queued_task_that_is_cancelled(put: Put) -> None:
    task = put(serial_key="s")
    heard: list[hooks.Finished] = []
    hooks.on_finished(heard.append, wants=with_serial_key)
    services.cancel(task=task, actor=SYSTEM)
    assert heard == [hooks.Finished(task.pk, "cancelled", None, task.agent_version_id, ties_of(task))]


def test_what_a_hook_raises_undoes_the_cancel_of_a_queued_task(put: Put) -> None:
    task = put(serial_key="s")
    before = snapshot(task.pk)
    hooks.on_finished(refuse, wants=with_serial_key)
    with pytest.raises(Refused):
        services.cancel(task=task, actor=SYSTEM)
    assert snapshot(task.pk) == before
    assert not AuditEvent.objects.filter(verb="task.cancel").exists()
