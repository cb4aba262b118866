"""What a second task of a serial key does to the first: it waits, is refused, interrupts it, or takes its place."""

from __future__ import annotations

import pytest

from accounts.models import User
from agents.definitions.models import Agent
from agents.definitions.services import create_agent
from agents.tasks import services
from agents.tasks.exceptions import SerialKeyBusy
from agents.tasks.models import Task
from tests.tasks.conftest import QUEUE, Put, Take, take_any
from tests.tasks.threads import at_once

pytestmark = pytest.mark.django_db(transaction=True)


def test_by_default_the_second_waits(put: Put, take: Take) -> None:
    first, second = put(serial_key="s"), put(serial_key="s")
    held = take()
    assert (held.task_id, take_any()) == (first.pk, None)
    services.succeed(claim=held, result=None)
    assert take().task_id == second.pk


def test_the_second_may_be_refused(put: Put, take: Take) -> None:
    put(serial_key="s")
    with pytest.raises(SerialKeyBusy):
        put(serial_key="s", if_busy="reject")
    put(serial_key="other", if_busy="reject")
    assert Task.objects.count() == 2
    services.succeed(claim=take(), result=None)
    put(serial_key="s", if_busy="reject")


@pytest.mark.parametrize("if_busy", ["interrupt", "rollback"])
def test_the_second_may_take_the_place_of_the_first(put: Put, take: Take, if_busy: str) -> None:
    running, queued = put(serial_key="s"), put(serial_key="s")
    held = take()
    newest = put(serial_key="s", if_busy=if_busy)
    queued.refresh_from_db()
    running.refresh_from_db()
    assert (queued.status, running.status) == ("cancelled", "running")
    assert running.cancel_requested_at is not None
    assert {running.is_rolled_back, queued.is_rolled_back} == {if_busy == "rollback"}
    assert services.renew([held]).cancelled == {running.pk}
    services.finish_cancelled(claim=held)
    assert take().task_id == newest.pk


def test_the_same_request_again_interrupts_nothing(put: Put, take: Take) -> None:
    first = put(serial_key="s", if_busy="interrupt", idempotency_key="k")
    again = put(serial_key="s", if_busy="interrupt", idempotency_key="k")
    assert again.pk == first.pk
    assert Task.objects.get().status == "queued"
    assert put(serial_key="s", if_busy="reject", idempotency_key="k").pk == first.pk


def test_an_agent_has_a_policy_of_its_own(member: User) -> None:
    agent = create_agent(slug="hasty", queue=QUEUE, policy={"if_busy": "reject"})
    services.submit(owner=member, agent=agent, input="x", serial_key="s")
    with pytest.raises(SerialKeyBusy):
        services.submit(owner=member, agent=agent, input="x", serial_key="s")
    services.submit(owner=member, agent=agent, input="x", serial_key="s", if_busy="queue")


@pytest.mark.parametrize("if_busy", ["queue", "reject", "interrupt", "rollback"])
def test_two_at_once_keep_to_the_policy_every_time(
    member: User, agent: Agent, if_busy: str, pytestconfig: pytest.Config
) -> None:
    """Twenty pairs in parallel for each policy."""
    rounds = 20

    def send(number: int) -> bool:
        try:
            key = f"s{number // 2}"
            services.submit(owner=member, agent=agent, input="x", serial_key=key, if_busy=if_busy)
        except SerialKeyBusy:
            return False
        return True

    accepted = sum(at_once(send, 2 * rounds))
    kept = [str(task.serial_key) for task in Task.objects.exclude(status="cancelled")]
    if if_busy == "queue":
        assert (accepted, len(kept)) == (2 * rounds, 2 * rounds)
    else:
        assert accepted == (rounds if if_busy == "reject" else 2 * rounds)
        assert sorted(kept) == sorted(f"s{number}" for number in range(rounds))
    rolled_back = Task.objects.filter(is_rolled_back=True).count()
    assert rolled_back == (rounds if if_busy == "rollback" else 0)
