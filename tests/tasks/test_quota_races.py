"""Quotas under many at once, and after whatever has happened."""

from __future__ import annotations

import random
from decimal import Decimal
from threading import Barrier

import pytest
from django.db import connection
from django.db.models import Sum

from accounts import ledger
from accounts.audit import SYSTEM
from accounts.limits import change_quota, delete_quota
from accounts.models import Quota, QuotaPeriod, Reservation, User
from agents.definitions.models import Agent
from agents.definitions.services import create_agent
from agents.tasks import services
from agents.tasks.data import Claim, Failure, Usage
from agents.tasks.models import Task
from tests.tasks.conftest import CENTS_5, MakeQuota, Put, accepted, spend, stands, take_any
from tests.tasks.threads import at_once

pytestmark = pytest.mark.django_db(transaction=True)


def test_of_50_parallel_tasks_a_budget_accepts_exactly_what_it_has(put: Put, quota: MakeQuota) -> None:
    budget = quota()
    done = at_once(lambda _n: accepted(put, limits=CENTS_5), 50)
    assert (done.count(True), Task.objects.count()) == (20, 20)
    assert stands(budget) == (0, Decimal("1.00"))
    assert Reservation.objects.count() == 20


def test_without_the_guard_all_of_them_would_be_accepted(
    put: Put, quota: MakeQuota, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The control."""
    quota()
    monkeypatch.setattr(ledger, "_check", lambda _row, _share: None)
    assert at_once(lambda _n: accepted(put, limits=CENTS_5), 50).count(True) == 50


@pytest.mark.skipif(connection.vendor != "postgresql", reason="SQLite lets one transaction write at a time anyway")
def test_without_the_lock_more_would_be_accepted_than_there_is(
    put: Put, quota: MakeQuota, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The other control: what is read unlocked is old when it is written."""
    budget = quota()
    put(limits=CENTS_5)
    all_have_read = Barrier(4)

    def unlocked(_places: object, _ids: object) -> dict[int, QuotaPeriod]:
        rows = {row.pk: row for row in QuotaPeriod.objects.filter(quota=budget).select_related("quota")}
        all_have_read.wait(30)
        return rows

    monkeypatch.setattr(ledger, "_locked", unlocked)
    assert at_once(lambda _n: accepted(put, limits=CENTS_5), 4) == [True] * 4
    assert (stands(budget)[1], Task.objects.count()) == (Decimal("0.10"), 5)


def test_bulk_requests_over_the_same_agents_in_another_order_do_not_wait_for_each_other_for_ever(
    quota: MakeQuota, member: User, admin: User, agent: Agent
) -> None:
    other = create_agent(slug="other", queue="tasks-tests")
    for one in (agent, other):
        quota(subject=f"agent:{one.slug}", amount=Decimal(1_000))

    def work(number: int) -> int:
        order = [agent, other] if number % 2 else [other, agent]
        owner = member if number % 2 else admin
        for _round in range(5):
            services.submit_many(
                owner=owner, requests=[{"agent": each, "input": "x", "limits": {"cost": 1}} for each in order]
            )
        return 10

    assert sum(at_once(work, 6)) == Task.objects.count() == 60
    assert [stands(each)[1] for each in Quota.objects.all()] == [30, 30]


def test_who_submits_and_who_finishes_do_not_wait_for_each_other_for_ever(
    put: Put, quota: MakeQuota, agent: Agent
) -> None:
    made = [quota(), quota(subject="everybody", unit="tokens", amount=Decimal(10**6)), quota(subject="agent:helper")]
    for budget in made:
        change_quota(quota=budget, actor=SYSTEM, changes={"amount": Decimal(10**6)})

    def work(number: int) -> int:
        done = 0
        for _round in range(8):
            if number % 2:
                put(limits={"cost": "1", "tokens": 10})
            elif (claim := take_any()) is not None:
                services.succeed(claim=claim, result=None, usage=spend("0.01", 3))
                done += 1
        return done

    done = sum(at_once(work, 8))
    while (claim := take_any()) is not None:
        services.succeed(claim=claim, result=None, usage=spend("0.01", 3))
        done += 1
    assert done == Task.objects.count() == 32
    assert [stands(each) for each in made] == [(Decimal("0.32"), 0), (96, 0), (Decimal("0.32"), 0)]


def test_tasks_are_accepted_while_their_quota_is_deleted(put: Put, quota: MakeQuota) -> None:
    budget = quota(amount=Decimal(100))

    def work(number: int) -> bool:
        if number == 3:
            delete_quota(quota=budget, actor=SYSTEM)
            return True
        return all(accepted(put, limits=CENTS_5) for _task in range(5))

    assert at_once(work, 6) == [True] * 6
    assert (Task.objects.count(), Reservation.objects.count()) == (25, 0)


def _succeed(claim: Claim, usage: Usage) -> None:
    services.succeed(claim=claim, result=None, usage=usage)


def _fail(claim: Claim, usage: Usage) -> None:
    services.fail(claim=claim, failure=Failure("E", "e", retryable=False), usage=usage)


def _hand_back(claim: Claim, usage: Usage) -> None:
    services.hand_back(claim=claim, usage=usage)


END_SOMEHOW = (_succeed, _fail, _hand_back)


@pytest.mark.parametrize("seed", range(4))
def test_whatever_happens_the_books_agree(put: Put, quota: MakeQuota, seed: int) -> None:
    """Reserved is the sum of reservations and never below zero; spent is the sum of what tasks have used."""
    chance = random.Random(seed)
    budgets = [quota(), quota(unit="tokens", amount=Decimal(2_000)), quota(unit="unfinished", amount=Decimal(6))]
    used = {"cost": Decimal(0), "tokens": Decimal(0), "unfinished": Decimal(0)}
    seen = {True: 0, False: 0}

    for _step in range(60):
        if chance.random() < 0.55:
            limits = {"cost": f"0.{chance.randint(1, 20):02d}", "tokens": chance.randint(1, 300)}
            seen[accepted(put, limits=limits if chance.random() < 0.8 else None, max_attempts=1)] += 1
        elif (claim := take_any()) is not None:
            usage = spend(f"0.{chance.randint(0, 9):02d}", chance.randint(0, 200))
            END_SOMEHOW[chance.randrange(len(END_SOMEHOW))](claim, usage)
        for budget in budgets:
            held = Reservation.objects.filter(period__quota=budget).aggregate(sum=Sum("amount"))["sum"] or 0
            assert stands(budget)[1] == held >= 0
    assert min(seen.values()) > 0, "some were accepted, some refused"
    for task in Task.objects.filter(finished_at__isnull=False):
        used["cost"] += task.cost
        used["tokens"] += task.input_tokens + task.output_tokens
    assert [stands(each)[0] for each in budgets] == [used[each.unit] for each in budgets]
