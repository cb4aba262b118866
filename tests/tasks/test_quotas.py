"""Quotas and tasks: what is reserved when one is accepted, what is settled when it ends, however it ends."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from decimal import Decimal
from typing import Any

import pytest
from django.contrib.auth.models import Group
from django.db import connection, transaction
from django.utils import timezone

from accounts.audit import SYSTEM
from accounts.issuing import issue_api_key, revoke_api_key, rotate_api_key
from accounts.limits import change_quota, delete_quota
from accounts.models import ApiKey, Quota, Reservation, User
from agents.definitions.models import Agent
from agents.tasks import metering, services
from agents.tasks.data import Failure
from agents.tasks.exceptions import NoQuotaLeft
from agents.tasks.models import Status, Task, WaitingFor
from tests.tasks.conftest import CENTS_5, MakeQuota, Put, Take, accepted, let_lease_expire, spend, stands

pytestmark = pytest.mark.django_db


@pytest.fixture
def key(member: User) -> ApiKey:
    return issue_api_key(owner=member, name="k", actor=SYSTEM).row


def test_real_use_is_settled_and_the_rest_comes_back(put: Put, take: Take, quota: MakeQuota) -> None:
    budget, tokens = quota(), quota(unit="tokens", amount=Decimal(10_000))
    put(limits={"cost": "0.40", "tokens": 900})
    assert (stands(budget), stands(tokens)) == ((0, Decimal("0.40")), (0, 900))
    services.succeed(claim=take(), result=None, usage=spend("0.03", 70))
    assert (stands(budget), stands(tokens)) == ((Decimal("0.03"), 0), (70, 0))
    assert not Reservation.objects.exists()


def test_what_earlier_attempts_have_spent_counts_too(put: Put, take: Take, quota: MakeQuota) -> None:
    budget = quota()
    put(limits=CENTS_5, max_attempts=2)
    services.fail(claim=take(), failure=Failure("Busy", "Later."), usage=spend("0.02"))
    assert stands(budget) == (0, Decimal("0.05"))
    Task.objects.update(not_before=None)
    services.fail(claim=take(), failure=Failure("Busy", "Never."), usage=spend("0.01"))
    assert stands(budget) == (Decimal("0.03"), 0)


def test_what_a_killed_worker_held_returns(put: Put, take: Take, quota: MakeQuota) -> None:
    budget = quota()
    task = put(limits=CENTS_5, max_attempts=1)
    held = take()
    let_lease_expire(held.task_id)
    services.sweep()
    assert stands(budget) == (0, Decimal("0.05")), "it is tried once more, alone"
    alone = services.claim(queues=["tasks-tests"], worker="w", suspects=True)
    assert alone is not None
    let_lease_expire(held.task_id)
    services.sweep()
    assert Task.objects.get(pk=task.pk).status == Status.FAILED
    assert (stands(budget), Reservation.objects.count()) == ((0, 0), 0)


def _cancel(task: Task, _take: Take) -> None:
    services.cancel(task=task, actor=SYSTEM)


def _cancel_running(task: Task, take: Take) -> None:
    claim = take()
    services.cancel(task=task, actor=SYSTEM)
    services.finish_cancelled(claim=claim)


def _cancel_while_it_fails(task: Task, take: Take) -> None:
    claim = take()
    services.cancel(task=task, actor=SYSTEM)
    services.fail(claim=claim, failure=Failure("Busy", "Later."))


def _time_out(_task: Task, take: Take) -> None:
    services.time_out(claim=take())


def _start_too_late(task: Task, _take: Take) -> None:
    Task.objects.filter(pk=task.pk).update(start_by=timezone.now() - timedelta(seconds=1))
    services.sweep()


def _wait_in_vain(task: Task, take: Take) -> None:
    services.wait(claim=take(), waiting_for=WaitingFor.INPUT, seconds=1)
    Task.objects.filter(pk=task.pk).update(waits_until=timezone.now() - timedelta(seconds=1))
    services.sweep()


def _review(task: Task, take: Take) -> None:
    services.review(claim=take(), failure=Failure("Odd", "Look."))
    services.finish_review(task=task, actor=SYSTEM, decision="fail")


def _lose_its_dependency(task: Task, _take: Take) -> None:
    other = services.submit(owner=task.owner, agent=task.agent, input="x").task
    dependent = services.submit(owner=task.owner, agent=task.agent, input="x", depends_on=[other.pk], limits=CENTS_5)
    services.cancel(task=other, actor=SYSTEM)
    assert Task.objects.get(pk=dependent.task.pk).status == Status.FAILED
    services.cancel(task=task, actor=SYSTEM)


def _lose_its_dependency_before(task: Task, _take: Take) -> None:
    services.cancel(task=task, actor=SYSTEM)
    late = services.submit(owner=task.owner, agent=task.agent, input="x", depends_on=[task.pk], limits=CENTS_5).task
    assert Task.objects.get(pk=late.pk).status == Status.FAILED


def _be_an_orphan(task: Task, take: Take) -> None:
    claim = take()
    services.submit(owner=task.owner, agent=task.agent, input="x", parent=task, limits=CENTS_5)
    services.fail(claim=claim, failure=Failure("Bad", "No.", retryable=False))
    services.sweep()
    assert Task.objects.filter(status=Status.CANCELLED).count() == 1


def _be_gone(task: Task, _take: Take) -> None:
    Task.objects.filter(pk=task.pk).delete()
    assert services.sweep().reservations_freed == 1


def _have_ended_unsettled(task: Task, _take: Take) -> None:
    Task.objects.filter(pk=task.pk).update(status=Status.CANCELLED, finished_at=timezone.now())
    assert services.sweep().reservations_freed == 1


@pytest.mark.parametrize(
    "end",
    [
        _cancel, _cancel_running, _cancel_while_it_fails, _time_out, _start_too_late, _wait_in_vain, _review,
        _lose_its_dependency, _lose_its_dependency_before, _be_an_orphan, _be_gone, _have_ended_unsettled,
    ],
)  # fmt: skip
def test_every_end_frees_what_was_reserved(put: Put, take: Take, quota: MakeQuota, end: Any) -> None:
    budget, unfinished = quota(), quota(unit="unfinished", amount=Decimal(5))
    task = put(limits=CENTS_5, max_attempts=1)
    assert (stands(budget)[1], stands(unfinished)[1]) == (Decimal("0.05"), 1)
    end(task, take)
    assert (stands(budget)[1], stands(unfinished)[1], Reservation.objects.count()) == (0, 0, 0)


def test_a_task_settles_once(put: Put, take: Take, quota: MakeQuota) -> None:
    budget = quota()
    task = put(limits=CENTS_5)
    services.succeed(claim=take(), result=None, usage=spend("0.01"))
    with transaction.atomic():
        metering.settle([task.pk])
    metering.release_abandoned()
    assert stands(budget) == (Decimal("0.01"), 0)


def test_without_a_quota_no_statement_is_added(
    put: Put, take: Take, django_assert_num_queries: Any, settings: Any
) -> None:
    settings.TASK_SETTINGS_CACHE_SECONDS = 60
    put()
    assert not Task.objects.get().is_metered
    put()
    with django_assert_num_queries(1 if connection.vendor == "postgresql" else 4):
        put()
    claim = take()
    with django_assert_num_queries(1 if connection.vendor == "postgresql" else 5):
        services.succeed(claim=claim, result=None)


def test_requests_are_spent_when_they_are_accepted_and_hold_nothing(put: Put, take: Take, quota: MakeQuota) -> None:
    budget = quota(unit="requests", period="day", amount=Decimal(2))
    assert not put().is_metered
    put()
    assert stands(budget) == (2, 0)
    with pytest.raises(NoQuotaLeft) as refused:
        put()
    assert 0 < refused.value.retry_after <= 86_400
    assert "user:member requests/day" in str(refused.value)
    services.fail(claim=take(), failure=Failure("Bad", "No.", retryable=False))
    assert not accepted(put)
    assert Task.objects.count() == 2


def test_unfinished_tasks_are_as_many_as_the_quota_says(put: Put, take: Take, quota: MakeQuota) -> None:
    quota(unit="unfinished", amount=Decimal(2))
    put()
    put()
    with pytest.raises(NoQuotaLeft) as refused:
        put()
    assert refused.value.retry_after == 60
    services.succeed(claim=take(), result=None)
    put()
    assert not accepted(put)


def test_the_same_idempotency_key_reserves_once(put: Put, quota: MakeQuota) -> None:
    budget = quota(amount=Decimal("0.05"))
    first = put(limits=CENTS_5, idempotency_key="k")
    assert put(limits=CENTS_5, idempotency_key="k") == first
    assert stands(budget)[1] == Decimal("0.05")
    with pytest.raises(NoQuotaLeft):
        put(limits=CENTS_5, idempotency_key="another")


def test_a_budget_follows_the_key_through_its_rotation(put: Put, quota: MakeQuota, key: ApiKey) -> None:
    budget = quota(subject=f"key:{key.prefix}", amount=Decimal("0.05"))
    put(api_key=key, limits=CENTS_5)
    newer = rotate_api_key(api_key=key, actor=SYSTEM).row
    newest = rotate_api_key(api_key=newer, actor=SYSTEM).row
    assert not accepted(put, api_key=newest, limits=CENTS_5)
    assert accepted(put, limits=CENTS_5), "without the key it does not count"
    assert stands(budget)[1] == Decimal("0.05")


def test_a_key_that_a_key_makes_shares_its_budget(put: Put, quota: MakeQuota, key: ApiKey, member: User) -> None:
    quota(subject=f"key:{key.prefix}", amount=Decimal("0.05"))
    put(api_key=key, limits=CENTS_5)
    other = issue_api_key(owner=member, name="other", actor=SYSTEM, within=key).row
    assert not accepted(put, api_key=other, limits=CENTS_5)


def test_a_person_gains_nothing_by_another_key(put: Put, quota: MakeQuota, key: ApiKey, member: User) -> None:
    quota(amount=Decimal("0.05"))
    put(api_key=key, limits=CENTS_5)
    revoke_api_key(api_key=key, actor=SYSTEM)
    again = issue_api_key(owner=member, name="k", actor=SYSTEM).row
    assert not accepted(put, api_key=again, limits=CENTS_5)


def test_a_retry_spends_like_any_task_and_by_the_same_key(put: Put, take: Take, quota: MakeQuota, key: ApiKey) -> None:
    budget = quota(subject=f"key:{key.prefix}", amount=Decimal("0.05"))
    put(api_key=key, limits=CENTS_5)
    services.fail(claim=take(), failure=Failure("Bad", "No.", retryable=False), usage=spend("0.01"))
    old = Task.objects.select_related("agent_version__agent").get()
    with pytest.raises(NoQuotaLeft):
        services.retry(task=old, actor=SYSTEM)
    change_quota(quota=budget, actor=SYSTEM, changes={"amount": Decimal("0.06")})
    assert services.retry(task=old, actor=SYSTEM).api_key == key


def test_a_child_spends_its_owners_budget(put: Put, take: Take, quota: MakeQuota, member: User, agent: Agent) -> None:
    quota(amount=Decimal("0.08"))
    parent = put(limits=CENTS_5)
    take()
    with pytest.raises(NoQuotaLeft):
        services.submit(owner=member, agent=agent, input="x", parent=parent, limits=CENTS_5)
    assert Task.objects.count() == 1


def test_bulk_is_all_or_nothing(put: Put, quota: MakeQuota, member: User, agent: Agent) -> None:
    budget = quota()
    one = {"agent": agent, "input": "x", "limits": CENTS_5}
    with pytest.raises(NoQuotaLeft):
        services.submit_many(owner=member, requests=[one] * 21)
    assert (Task.objects.count(), stands(budget)) == (0, (0, 0))
    services.submit_many(owner=member, requests=[one] * 20)
    assert (Task.objects.count(), stands(budget)[1]) == (20, 1)


def test_all_quotas_that_apply_count_and_the_first_that_is_used_up_refuses(
    put: Put, quota: MakeQuota, agent: Agent, admin: User
) -> None:
    own, all_of_it = quota(), quota(subject="everybody", amount=Decimal("0.10"))
    of_agent = quota(subject="agent:helper", unit="requests", period="day", amount=Decimal(100))
    put(limits=CENTS_5)
    services.submit(owner=admin, agent=agent, input="x", limits=CENTS_5)
    with pytest.raises(NoQuotaLeft) as refused:
        put(limits=CENTS_5)
    assert refused.value.extra == {"quota": "everybody cost/month", "unit": "cost"}
    assert "0.1" not in str(refused.value), "how much others have spent is nobody else's to know"
    assert [stands(each) for each in (own, all_of_it, of_agent)] == [(0, Decimal("0.05")), (0, Decimal("0.10")), (2, 0)]


def test_a_role_shares_or_each_of_its_members_has_the_amount(
    put: Put, quota: MakeQuota, agent: Agent, member: User, outsider: User
) -> None:
    role = Group.objects.create(name="team")
    member.groups.add(role)
    outsider.groups.add(role)
    shared = quota(subject="role:team", unit="requests", period="day", amount=Decimal(2))
    put()
    services.submit(owner=outsider, agent=agent, input="x")
    assert not accepted(put)
    delete_quota(quota=shared, actor=SYSTEM)
    each = quota(subject="role:team", unit="requests", period="day", amount=Decimal(2), each_member=True)
    put()
    put()
    assert not accepted(put)
    services.submit(owner=outsider, agent=agent, input="x")
    assert sorted(each.periods.values_list("spent", flat=True)) == [1, 2]


def test_a_task_without_a_limit_reserves_what_the_quota_or_the_installation_says(
    put: Put, take: Take, quota: MakeQuota, settings: Any
) -> None:
    settings.QUOTA_RESERVE_COST = Decimal("0.10")
    usual, own = quota(), quota(subject="everybody", reserve=Decimal("0.30"))
    put()
    assert (stands(usual)[1], stands(own)[1]) == (Decimal("0.10"), Decimal("0.30"))
    services.succeed(claim=take(), result=None, usage=spend("5"))
    assert stands(usual) == (5, 0)
    assert not accepted(put, limits={"cost": "0.000001"}), "it is overdrawn: nothing more is accepted"


def test_the_smallest_limit_reserves_something(put: Put, quota: MakeQuota) -> None:
    budget = quota()
    put(limits={"cost": "0.000000001"})
    assert stands(budget)[1] == Decimal("0.000001")


def test_a_quota_of_zero_accepts_nothing_and_a_disabled_one_bounds_nothing(put: Put, quota: MakeQuota) -> None:
    budget = quota(amount=Decimal(0))
    assert not accepted(put, limits={"cost": "0.000001"})
    assert not accepted(put)
    change_quota(quota=budget, actor=SYSTEM, changes={"is_enabled": False})
    assert accepted(put)


def test_what_is_reserved_under_a_quota_is_settled_after_it_was_disabled(
    put: Put, take: Take, quota: MakeQuota
) -> None:
    budget = quota()
    put(limits=CENTS_5)
    change_quota(quota=budget, actor=SYSTEM, changes={"is_enabled": False})
    services.succeed(claim=take(), result=None, usage=spend("0.01"))
    assert stands(budget) == (Decimal("0.01"), 0)


def test_a_quota_can_shrink_grow_and_go_while_tasks_run(put: Put, take: Take, quota: MakeQuota) -> None:
    budget = quota()
    for _task in range(3):
        put(limits=CENTS_5)
    change_quota(quota=budget, actor=SYSTEM, changes={"amount": Decimal("0.01")})
    assert not accepted(put, limits=CENTS_5)
    services.succeed(claim=take(), result=None, usage=spend("0.05"))
    assert stands(budget) == (Decimal("0.05"), Decimal("0.10"))
    change_quota(quota=budget, actor=SYSTEM, changes={"amount": Decimal("0.20")})
    assert accepted(put, limits=CENTS_5)
    delete_quota(quota=budget, actor=SYSTEM)
    services.succeed(claim=take(), result=None, usage=spend("0.05"))
    put(limits=CENTS_5)
    assert Reservation.objects.count() == 0


def test_an_amount_that_another_process_has_changed_counts_at_once(put: Put, quota: MakeQuota) -> None:
    budget = quota()
    put(limits=CENTS_5)
    Quota.objects.filter(pk=budget.pk).update(amount=Decimal("0.05"))
    assert not accepted(put, limits=CENTS_5)


def test_a_quota_that_another_process_has_deleted_bounds_nothing(put: Put, quota: MakeQuota) -> None:
    budget = quota(amount=Decimal("0.05"))
    put(limits=CENTS_5)
    Quota.objects.filter(pk=budget.pk).delete()
    assert accepted(put, limits=CENTS_5)


def test_the_next_period_begins_anew(put: Put, quota: MakeQuota, monkeypatch: pytest.MonkeyPatch) -> None:
    budget = quota(unit="requests", period="month", amount=Decimal(1))
    put()
    assert not accepted(put)
    later = datetime.now(UTC) + timedelta(days=32)
    monkeypatch.setattr("agents.tasks.submitting.timezone.now", lambda: later)
    assert accepted(put)
    assert budget.periods.count() == 2
