"""Quotas and rate limits in the admin."""

from __future__ import annotations

from decimal import Decimal
from typing import Any

import pytest
from django.test import Client

from accounts import ledger
from accounts.audit import SYSTEM
from accounts.issuing import issue_api_key
from accounts.limits import create_quota, create_rate_limit
from accounts.models import AuditEvent, Quota, QuotaPeriod, RateLimit, User
from accounts.periods import start_of
from agents.definitions.services import create_agent

pytestmark = pytest.mark.django_db

QUOTAS, RATES = "/admin/accounts/quota/", "/admin/accounts/ratelimit/"
BUDGET = {"unit": "cost", "period": "month", "amount": "5", "reserve": "", "is_enabled": "on"}


@pytest.fixture(autouse=True)
def _at_once(settings: Any) -> None:
    settings.TASK_SETTINGS_CACHE_SECONDS = 0
    ledger.forget()


@pytest.fixture
def browser(client: Client, admin: User) -> Client:
    client.force_login(admin)
    return client


def test_an_operator_chooses_whose_it_is_by_kind_and_name(browser: Client, member: User, admin: User) -> None:
    agent = create_agent(slug="helper")
    key = issue_api_key(owner=member, name="k", actor=SYSTEM).row
    text = browser.get(f"{QUOTAS}add/").content.decode()
    assert "Who is bound by what" in text
    assert all(f'<option value="{name}">' in text for name in ("member", "helper", key.prefix))
    chosen = (
        ("everybody", ""),
        ("user", "member"),
        ("role", "administrator"),
        ("key", key.prefix),
        ("agent", "helper"),
    )
    for whose, name in chosen:
        assert browser.post(f"{QUOTAS}add/", BUDGET | {"whose": whose, "whose_name": name}).status_code == 302, whose
    rows = Quota.objects.order_by("created_at").values_list("user", "role__name", "api_key", "agent_id")
    assert [*rows] == [
        (None, None, None, None), (member.pk, None, None, None), (None, "administrator", None, None),
        (None, None, key.pk, None), (None, None, None, agent.pk),
    ]  # fmt: skip
    event = AuditEvent.objects.filter(verb="quota.create").earliest("created_at")
    assert (event.actor_id, event.changes["subject"], event.changes["amount"]) == (
        admin.pk, "everybody", {"before": None, "after": "5"},
    )  # fmt: skip


@pytest.mark.parametrize(
    ("wrong", "sentence"),
    [
        ({"whose_name": "nobody"}, "There is none of this name."), ({"whose_name": ""}, "There is none of this name."),
        ({"amount": "-1"}, "This cannot be below zero."), ({"amount": "NaN"}, "Enter a number."),
        ({"period": ""}, "Unfinished tasks are counted at any time"), ({"unit": "unfinished"}, "Unfinished tasks are"),
        ({"unit": "requests", "amount": "1.5"}, "only whole numbers"), ({"each_member": "on"}, "are several people"),
        ({"reserve": "-3"}, "This cannot be below zero."),
    ],
)  # fmt: skip
def test_what_is_wrong_is_said_in_words(browser: Client, member: User, wrong: dict[str, str], sentence: str) -> None:
    answer = browser.post(f"{QUOTAS}add/", BUDGET | {"whose": "user", "whose_name": "member"} | wrong)
    assert answer.status_code == 200
    assert sentence in answer.content.decode()
    assert not Quota.objects.exists()


def test_a_second_one_of_a_kind_is_refused(browser: Client, member: User) -> None:
    form = BUDGET | {"whose": "user", "whose_name": "member"}
    assert [browser.post(f"{QUOTAS}add/", form).status_code for _n in range(2)] == [302, 200]


def test_the_list_shows_how_full_they_are_in_few_queries(
    browser: Client, member: User, django_assert_max_num_queries: Any
) -> None:
    create_agent(slug="helper")
    for subject in ("user:member", "everybody", "agent:helper"):
        for unit in ("cost", "tokens"):
            made = create_quota(subject=subject, unit=unit, period="day", amount=Decimal(100), actor=SYSTEM)
            QuotaPeriod.objects.create(quota=made, starts_at=start_of("day", made.created_at), spent=90, reserved=5)
    with django_assert_max_num_queries(14):
        text = browser.get(QUOTAS).content.decode()
    assert text.count('class="gauge gauge-warn"') == 6
    assert "agent:helper" in text
    assert "90 / 100" in text


def test_an_amount_is_changed_and_what_it_is_of_stays(browser: Client, member: User) -> None:
    made = create_quota(subject="user:member", unit="cost", period="day", amount=Decimal(1), actor=SYSTEM)
    address = f"{QUOTAS}{made.pk}/change/"
    assert "user:member" in browser.get(address).content.decode()
    form = {"amount": "2", "reserve": "", "is_enabled": "on", "unit": "tokens", "whose": "everybody"}
    assert browser.post(address, form).status_code == 302
    made.refresh_from_db()
    assert (str(made.amount), made.unit, made.user) == ("2.000000", "cost", member)
    assert AuditEvent.objects.get(verb="quota.change").changes["amount"] == {"before": "1", "after": "2"}


def test_deleting_is_written_down(browser: Client, member: User) -> None:
    made = create_quota(subject="user:member", unit="cost", period="day", amount=Decimal(1), actor=SYSTEM)
    limit = create_rate_limit(subject="everybody", rate="9/m", actor=SYSTEM)
    browser.post(f"{QUOTAS}{made.pk}/delete/", {"post": "yes"})
    chosen = {"action": "delete_selected", "_selected_action": [str(limit.pk)], "post": "yes"}
    browser.post(RATES, chosen)
    assert (Quota.objects.count(), RateLimit.objects.count()) == (0, 0)
    assert {*AuditEvent.objects.filter(verb__endswith=".delete").values_list("verb", flat=True)} == {
        "quota.delete", "rate_limit.delete",
    }  # fmt: skip


def test_rate_limits_are_made_changed_and_checked(browser: Client, member: User) -> None:
    form = {"whose": "user", "whose_name": "member", "rate": "1000/month"}
    assert "is not a rate" in browser.post(f"{RATES}add/", form).content.decode()
    assert browser.post(f"{RATES}add/", form | {"rate": "60/m"}).status_code == 302
    made = RateLimit.objects.get()
    assert browser.post(f"{RATES}{made.pk}/change/", {"rate": "70/m"}).status_code == 302
    made.refresh_from_db()
    assert (made.rate, made.user) == ("70/m", member)
    assert "user:member" in browser.get(RATES).content.decode()


def test_who_may_only_view_changes_nothing(client: Client, operator: User, member: User) -> None:
    made = create_quota(subject="user:member", unit="cost", period="day", amount=Decimal(1), actor=SYSTEM)
    User.objects.filter(pk=member.pk).update(is_staff=True)
    client.force_login(member)
    assert client.get(QUOTAS).status_code == 403
    client.force_login(operator)
    assert client.get(QUOTAS).status_code == 200
    assert client.post(f"{QUOTAS}{made.pk}/change/", {"amount": "9"}).status_code == 403
    assert client.get(f"{QUOTAS}add/").status_code == 403
