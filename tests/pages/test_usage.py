"""The page of who spent what, and the banner of quotas that are nearly spent."""

from __future__ import annotations

from decimal import Decimal
from typing import Any

import pytest
from django.contrib.auth.models import Group
from django.db import connection
from django.test import Client
from django.test.utils import CaptureQueriesContext

from accounts import ledger
from accounts.audit import SYSTEM
from accounts.limits import change_quota, create_quota
from accounts.models import Quota, User
from agents.tasks import services
from agents.tasks.data import Usage
from agents.tasks.models import Task
from tests.pages.conftest import Made

pytestmark = pytest.mark.django_db
PAGE = "/usage/"


@pytest.fixture(autouse=True)
def _at_once(settings: Any) -> None:
    settings.TASK_SETTINGS_CACHE_SECONDS = 0
    ledger.forget()


def quota(subject: str, amount: str = "1", **options: Any) -> Quota:
    usual: dict[str, Any] = {"unit": "cost", "period": "month", "amount": Decimal(amount)}
    return create_quota(subject=subject, actor=SYSTEM, **(usual | options))


def spend(made: Made, user: User, cost: str) -> None:
    task = made(user)
    claim = services.claim(queues=[task.queue], worker="test")
    assert claim is not None
    services.succeed(claim=claim, result=None, usage=Usage(1_200, 34, Decimal(cost)))


def text_of(client: Client, user: User, path: str = PAGE) -> str:
    client.force_login(user)
    answer = client.get(path)
    assert answer.status_code == 200
    return answer.content.decode()


def test_it_needs_a_person(client: Client) -> None:
    assert client.get(PAGE).status_code == 302


def test_one_sees_ones_own_spending_and_quotas(client: Client, made: Made, member: User, operator: User) -> None:
    quota("user:member", "2")
    quota("user:operator", "7")
    spend(made, member, "0.5")
    spend(made, operator, "0.25")
    text = text_of(client, member)
    assert "What your tasks have spent" in text
    assert "0.5" in text
    assert "0.25" not in text
    assert "0.5 / 2" in text
    assert "user:operator" not in text
    assert "By person" not in text


def test_who_may_see_everybodys_can_still_ask_for_their_own(
    client: Client, made: Made, member: User, operator: User
) -> None:
    spend(made, member, "0.5")
    everybodys = text_of(client, operator)
    assert "By person" in everybodys
    assert ">member<" in everybodys
    own = text_of(client, operator, f"{PAGE}?mine=on&days=7")
    assert "By person" not in own
    assert "Nothing spent" in own


def test_nothing_spent_and_nothing_bounded_is_said(client: Client, member: User) -> None:
    text = text_of(client, member)
    assert "Nothing spent" in text
    assert "No quota bounds" in text


def test_there_is_no_script_or_style_in_it(client: Client, made: Made, member: User) -> None:
    quota("user:member", "0.1")
    spend(made, member, "0.09")
    text = text_of(client, member)
    assert " style=" not in text
    assert 'class="gauge' in text
    assert "<title>" in text


@pytest.mark.parametrize("days", ["0", "9999", "x", "-7", "7; DROP"])
def test_odd_lengths_are_the_usual_one(client: Client, member: User, days: str) -> None:
    assert '<option value="30" selected>' in text_of(client, member, f"{PAGE}?days={days}")


def test_it_takes_few_queries_however_much_there_is(
    client: Client, made: Made, operator: User, member: User, django_assert_max_num_queries: Any
) -> None:
    for number in range(8):
        quota(
            ["user:member", "user:operator", "everybody", "agent:echo"][number % 4],
            "90000",
            unit=["cost", "tokens"][number // 4],
        )
    for _task in range(5):
        spend(made, member, "0.001")
    client.force_login(operator)
    with django_assert_max_num_queries(24):
        client.get(PAGE)


def banner(client: Client, user: User) -> bool:
    text = text_of(client, user, "/")
    return "of the quota" in text or "is used up" in text


def test_a_banner_says_so_to_whom_it_concerns(
    client: Client, made: Made, member: User, outsider: User, admin: User
) -> None:
    budget = quota("user:member")
    spend(made, member, "0.49")
    assert not banner(client, member)
    spend(made, member, "0.10")
    assert [banner(client, user) for user in (member, outsider, admin)] == [True, False, False]
    change_quota(quota=budget, actor=SYSTEM, changes={"is_enabled": False})
    assert not banner(client, member)


def test_of_a_shared_quota_its_members_and_who_may_change_it_are_told(
    client: Client, made: Made, member: User, outsider: User, admin: User, operator: User
) -> None:
    team = Group.objects.create(name="team")
    member.groups.add(team)
    quota("role:team")
    spend(made, member, "1.50")
    assert [banner(client, user) for user in (member, outsider, operator, admin)] == [True, False, False, True]
    assert "is used up" in text_of(client, member, "/")


def test_an_amount_for_each_concerns_the_one_who_spent_it(
    client: Client, made: Made, member: User, outsider: User
) -> None:
    quota("everybody", each_member=True)
    spend(made, member, "0.9")
    assert [banner(client, user) for user in (member, outsider)] == [True, False]


def test_without_quotas_the_banner_costs_nothing(client: Client, member: User, settings: Any) -> None:
    settings.TASK_SETTINGS_CACHE_SECONDS = 60
    client.force_login(member)
    client.get("/")
    with CaptureQueriesContext(
        connection,
    ) as asked:
        client.get("/")
    assert not [query for query in asked if "accounts_quota" in query["sql"]]


def test_pages_that_submit_tell_of_a_quota_that_is_used_up(
    client: Client, made: Made, member: User, agent: Any
) -> None:
    failed = made(member, "failed")
    quota("user:member", "0", unit="requests", period="day")
    client.force_login(member)
    answer = client.post(f"/tasks/{failed.pk}/retry/", {"input": "again"}, follow=True)
    assert "has too little left" in answer.content.decode()
    answer = client.post("/chat/", {"agent": "echo", "text": "hello", "key": "k"}, follow=True)
    assert "has too little left" in answer.content.decode()
    assert Task.objects.count() == 1
