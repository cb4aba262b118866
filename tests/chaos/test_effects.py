"""What tools do outside the database when their process dies at the worst moments."""

from __future__ import annotations

import uuid
from collections import Counter
from collections.abc import Iterator
from typing import Any

import pytest

from accounts.audit import SYSTEM
from accounts.models import User
from agents.definitions import AgentDefinition
from agents.runtime.connections import close_borrowed
from agents.tasks import services as tasks
from agents.tasks.models import Task
from agents.testing import call
from agents.tools import ledger
from agents.tools.context import idempotency_key
from agents.tools.exceptions import NoToolCall
from agents.tools.models import Approval, ToolCall
from agents.tools.traits import Traits, declare
from tests.chaos.harness import sized
from tests.tools.clerk import crash, die, employed, status_of, submitted, work

pytestmark = [pytest.mark.django_db(transaction=True), pytest.mark.timeout(600)]

CRASHES = sized(50)


class Service:
    """Another system: it has seen `requests`, and counts by key what came of them, as one that knows
    `Idempotency-Key` does.
    """

    def __init__(self) -> None:
        self.requests: Counter[str] = Counter()
        self.effects: set[tuple[str, str]] = set()
        self.dies_after = 0

    def request(self, order: str) -> str:
        self.requests[order] += 1
        try:
            key = idempotency_key()
        except NoToolCall:
            key = uuid.uuid4().hex
        self.effects.add((order, key))
        if self.dies_after:
            self.dies_after -= 1
            die()
        return f"ordered {order}"

    def effects_of(self, order: str) -> int:
        return sum(each == order for each, _key in self.effects)


service = Service()


@declare(effects="idempotent")
def order_safely(order: str) -> str:
    """Orders something from a service that counts by key."""
    return service.request(order)


@declare(effects="once")
def order_once(order: str) -> str:
    """Orders something from a service that believes everything."""
    return service.request(order)


class Buyer(AgentDefinition):
    slug = "chaos-buyer"
    tools = (order_safely, order_once)


@pytest.fixture(autouse=True)
def _new_service() -> Iterator[None]:
    service.__init__()  # type: ignore[misc]
    yield
    close_borrowed()


def in_the_tool(_patch: pytest.MonkeyPatch) -> None:
    """After the effect and before anybody has written down that there was one."""
    service.dies_after = 1


def before_the_checkpoint(patch: pytest.MonkeyPatch) -> None:
    """After the ledger knows, before the graph's state does."""
    before = ledger.succeed

    def noted_and_dead(*args: Any) -> None:
        before(*args)
        patch.undo()
        die()

    patch.setattr(ledger, "succeed", noted_and_dead)


def crash_and_work(tool: str, moment: Any, owner: User) -> list[Task]:
    """So many tasks whose first attempt dies at this moment; each is then taken up again."""
    done = []
    for number in range(CRASHES):
        with (
            employed(Buyer, call(tool, order=f"order-{number}"), "There you are.") as agent,
            pytest.MonkeyPatch.context() as patch,
        ):
            task = submitted(agent, owner)
            moment(patch)
            crash(task)
            work(task)
        done.append(task)
    return done


@pytest.mark.parametrize("moment", [in_the_tool, before_the_checkpoint])
def test_a_service_that_counts_by_key_sees_one_effect_of_each_call(member: User, moment: Any) -> None:
    done = crash_and_work("order_safely", moment, member)
    assert Counter(task.status for task in done) == {"succeeded": CRASHES}
    assert Counter(service.effects_of(f"order-{number}") for number in range(CRASHES)) == {1: CRASHES}
    # Caught in the middle it is asked again, with the same key; what is known to be done is not.
    asked = 2 if moment is in_the_tool else 1
    assert set(service.requests.values()) == {asked}


def test_a_call_that_may_be_made_once_and_is_caught_in_the_middle_needs_a_review(member: User) -> None:
    done = crash_and_work("order_once", in_the_tool, member)
    assert Counter(task.status for task in done) == {"needs_review": CRASHES}
    assert set(service.requests.values()) == {1}
    assert {task.error_type for task in done} == {"ToolCallUnfinished"}
    assert all(f"order_once(order='order-{n}')" in task.error_message for n, task in enumerate(done))
    assert ToolCall.objects.filter(state="needs_review").count() == CRASHES


def test_a_call_that_may_be_made_once_and_is_known_to_be_done_is_not_made_again(member: User) -> None:
    done = crash_and_work("order_once", before_the_checkpoint, member)
    assert Counter(task.status for task in done) == {"succeeded": CRASHES}
    assert len(service.requests) == CRASHES
    assert set(service.requests.values()) == {1}


def test_control_without_the_ledger_effects_are_doubled(member: User, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(Traits, "is_recorded", property(lambda _self: False))
    done = crash_and_work("order_once", in_the_tool, member)
    assert Counter(task.status for task in done) == {"succeeded": CRASHES}
    assert sum(service.effects_of(f"order-{number}") > 1 for number in range(CRASHES)) >= 1


@declare(needs_approval=True)
def order_with_approval(order: str) -> str:
    """Orders something that somebody has to agree to."""
    return service.request(order)


class Asker(AgentDefinition):
    slug = "chaos-asker"
    tools = (order_with_approval,)


def test_a_cancel_ends_tasks_that_wait_for_an_approval_and_leaves_nothing_busy(member: User) -> None:
    """At once, in the transaction of the cancel: hence well within the five seconds that other states may take."""
    count = sized(20, tenth=4)
    replies = [call("order_with_approval", order=f"order-{number}") for number in range(count)]
    with employed(Asker, *replies, *["Fine."] * count) as agent:
        waiting = [submitted(agent, member, serial_key=f"key-{number}") for number in range(count)]
        assert [work(task) for task in waiting] == ["waiting"] * count
        assert Approval.objects.pending().count() == count
        for task in waiting:
            tasks.cancel(task=task, actor=SYSTEM)
        assert {status_of(task) for task in waiting} == {"cancelled"}
        assert Approval.objects.pending().count() == 0
        assert service.requests == Counter()
        # Their keys are free: what comes next gets to its own question.
        after = [submitted(agent, member, serial_key=f"key-{number}") for number in range(count)]
        assert [work(task) for task in after] == ["succeeded"] * count
