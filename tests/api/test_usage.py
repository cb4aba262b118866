"""What was spent, quotas and rate limits over HTTP."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from decimal import Decimal
from typing import Any

import pytest
from django.contrib.auth.models import Group, Permission
from rest_framework.test import APIClient

from accounts import ledger
from accounts.audit import SYSTEM
from accounts.issuing import issue_api_key
from accounts.limits import create_quota, create_rate_limit
from accounts.models import AuditEvent, Quota, RateLimit, User
from agents.gateway.models import ModelCall
from agents.tasks import attempts
from agents.tasks.data import Usage
from agents.tasks.models import Task
from tests.api.conftest import Submit
from tests.conftest import Api

pytestmark = pytest.mark.django_db

USAGE, QUOTAS, RATES, TASKS = "/api/v1/usage", "/api/v1/quotas", "/api/v1/rate-limits", "/api/v1/tasks"
BUDGET = {"subject": "user:member", "unit": "cost", "period": "month", "amount": "1.00"}


@pytest.fixture(autouse=True)
def _at_once(settings: Any) -> None:
    settings.TASK_SETTINGS_CACHE_SECONDS = 0
    ledger.forget()


def give(user: User, *names: str) -> None:
    user.user_permissions.add(*Permission.objects.filter(codename__in=names, content_type__app_label="accounts"))


def finish(cost: str, tokens: int) -> None:
    claim = attempts.claim(queues=["interactive"], worker="test")
    assert claim is not None
    attempts.succeed(claim=claim, result=None, usage=Usage(tokens, 1, Decimal(cost)))


@pytest.fixture
def spent(submitted: Submit, member: User, admin: User) -> None:
    """The member has spent 0.30 in two tasks, one by a key; the admin 1.00, two days ago."""
    key = issue_api_key(owner=member, name="laptop", actor=SYSTEM).row
    submitted(member)
    finish("0.10", 10)
    submitted(member, api_key=key)
    finish("0.20", 20)
    old = submitted(admin)
    finish("1.00", 5)
    Task.objects.filter(pk=old.pk).update(created_at=datetime.now(UTC) - timedelta(days=2))


def found(api: Api, user: User, query: str) -> list[tuple[str, int, str]]:
    answer = api(user).get(f"{USAGE}?{query}")
    assert answer.status_code == 200, answer.content
    return [(row["label"], row["count"], row["cost"]) for row in answer.json()["results"]]


@pytest.mark.usefixtures("spent")
class TestSpending:
    def test_one_sees_ones_own(self, api: Api, member: User, outsider: User) -> None:
        assert found(api, member, "by=agent") == [("Echo", 2, "0.300000")]
        assert found(api, member, "by=user") == [("member", 2, "0.300000")]
        assert found(api, member, "by=key") == [("laptop", 1, "0.200000"), ("", 1, "0.100000")]
        assert found(api, outsider, "by=user") == []

    def test_who_may_view_tasks_or_quotas_sees_everybodys(
        self, api: Api, operator: User, outsider: User, admin: User
    ) -> None:
        everybody = [("admin", 1, "1.000000"), ("member", 2, "0.300000")]
        assert found(api, operator, "by=user") == everybody
        give(outsider, "view_quota")
        assert found(api, User.objects.get(pk=outsider.pk), "by=user") == everybody
        assert found(api, admin, "by=user&mine=true") == [("admin", 1, "1.000000")]
        roles = {label: cost for label, _count, cost in found(api, operator, "by=role")}
        assert roles == {"administrator": "1.000000", "member": "0.300000"}

    def test_days_are_of_utc_in_their_order_and_both_ends_count(self, api: Api, admin: User) -> None:
        today = datetime.now(UTC).date()
        before = today - timedelta(days=2)
        assert found(api, admin, "by=day") == [(f"{before}", 1, "1.000000"), (f"{today}", 2, "0.300000")]
        assert found(api, admin, f"by=day&since={before}&until={before}") == [(f"{before}", 1, "1.000000")]
        assert found(api, admin, f"by=day&since={today}") == [(f"{today}", 2, "0.300000")]

    def test_models_are_summed_from_their_calls(self, api: Api, member: User, admin: User) -> None:
        for owner, cost in ((member, "0.1"), (member, None), (admin, "2")):
            ModelCall.objects.create(
                owner_id=owner.pk, provider="openai", model="gpt", started_at=datetime.now(UTC), latency_ms=1,
                cost=cost, outcome="succeeded",
            )  # fmt: skip
        assert found(api, member, "by=model") == [("openai:gpt", 2, "0.100000")]
        assert found(api, admin, "by=model") == [("openai:gpt", 3, "2.100000")]

    @pytest.mark.parametrize(
        "query",
        [
            "by=mood", "since=yesterday", "since=2026-13-01", "until=9999-12-31", "since=0001-01-01",
            "since=2026-01-01&until=2026-04-03", "since=2026-02-02&until=2026-02-01", "until=0001-01-01",
            "mine=perhaps",
        ],
    )  # fmt: skip
    def test_what_cannot_be_summed_is_refused(self, api: Api, member: User, query: str) -> None:
        assert api(member).get(f"{USAGE}?{query}").status_code == 400


@pytest.mark.parametrize(
    ("scope", "method", "path", "status"),
    [
        ("usage:read", "get", USAGE, 200), ("tasks:read", "get", USAGE, 403), ("limits:read", "get", QUOTAS, 200),
        ("usage:read", "get", RATES, 403), ("limits:read", "post", QUOTAS, 403), ("limits:write", "post", QUOTAS, 400),
        ("limits:write", "get", QUOTAS, 403),
    ],
)  # fmt: skip
def test_a_key_needs_the_scope(admin: User, scope: str, method: str, path: str, status: int) -> None:
    client = APIClient()
    issued = issue_api_key(owner=admin, name="k", scopes=[scope], actor=SYSTEM)
    client.credentials(HTTP_X_API_KEY=issued.key)
    assert getattr(client, method)(path).status_code == status


class TestQuotas:
    def test_setting_changing_and_deleting_one(self, api: Api, admin: User, member: User) -> None:
        made = api(admin).post(QUOTAS, BUDGET)
        assert (made.status_code, made["Location"]) == (201, f"{QUOTAS}/{made.json()['id']}")
        assert made.json()["left"] == "1.000000"
        address = made["Location"]
        changed = api(admin).patch(address, {"amount": "0.5", "unit": "tokens"})
        assert (changed.status_code, changed.json()["amount"], changed.json()["unit"]) == (200, "0.500000", "cost")
        assert api(admin).delete(address).status_code == 204
        assert api(admin).get(address).status_code == 404
        verbs = (
            AuditEvent.objects.filter(actor_id=admin.pk).order_by("created_at").values_list("verb", "changes__amount")
        )
        assert [*verbs] == [
            ("quota.create", {"before": None, "after": "1"}),
            ("quota.change", {"before": "1", "after": "0.5"}),
            ("quota.delete", {"before": "0.5", "after": None}),
        ]

    @pytest.mark.parametrize(
        "wrong",
        [
            {"amount": "-1"}, {"amount": "NaN"}, {"amount": "Infinity"}, {"amount": "1e30"}, {"amount": None},
            {"amount": "0.0000001"}, {"amount": []}, {"unit": "hugs"}, {"period": "year"}, {"period": ""},
            {"unit": "unfinished"}, {"unit": "requests", "amount": "1.5"}, {"each_member": True}, {"reserve": "-1"},
            {"reserve": "NaN"}, {"subject": "user:nobody"}, {"subject": "planet:earth"}, {"subject": ""},
            {"subject": "agent:\0"}, {"subject": {"user": "member"}}, {"is_enabled": "perhaps"},
        ],
    )  # fmt: skip
    def test_a_wrong_one_is_refused_by_field(self, api: Api, admin: User, member: User, wrong: dict[str, Any]) -> None:
        answer = api(admin).post(QUOTAS, BUDGET | wrong)
        assert answer.status_code == 400
        assert not Quota.objects.exists()

    def test_two_of_one_kind_are_refused(self, api: Api, admin: User, member: User) -> None:
        assert [api(admin).post(QUOTAS, BUDGET).status_code for _n in range(2)] == [201, 400]

    def test_only_who_may_sets_them_and_others_see_what_bounds_them(
        self, api: Api, member: User, outsider: User, admin: User
    ) -> None:
        team = Group.objects.create(name="team")
        member.groups.add(team)
        own, of_team, of_all, of_admin = (
            create_quota(subject=subject, unit="cost", period="day", amount=Decimal(5), actor=SYSTEM)
            for subject in ("user:member", "role:team", "everybody", "user:admin")
        )
        seen = [row["id"] for row in api(member).get(f"{QUOTAS}?ordering=created_at").json()["results"]]
        assert seen == [str(each.pk) for each in (own, of_team, of_all)]
        assert len(api(outsider).get(QUOTAS).json()["results"]) == 1
        assert len(api(admin).get(QUOTAS).json()["results"]) == 4
        assert api(member).get(f"{QUOTAS}/{of_admin.pk}").status_code == 404
        assert api(member).patch(f"{QUOTAS}/{of_admin.pk}", {"amount": "9"}).status_code == 404
        for answer in (
            api(member).post(QUOTAS, BUDGET),
            api(member).patch(f"{QUOTAS}/{own.pk}", {"amount": "9"}),
            api(member).delete(f"{QUOTAS}/{own.pk}"),
        ):
            assert answer.status_code == 403
        assert Quota.objects.filter(amount=5).count() == 4
        give(outsider, "view_quota", "change_quota")
        trusted = api(User.objects.get(pk=outsider.pk))
        assert trusted.patch(f"{QUOTAS}/{own.pk}", {"amount": "9"}).status_code == 200
        assert trusted.delete(f"{QUOTAS}/{own.pk}").status_code == 403

    def test_the_list_says_how_they_stand_in_few_queries(
        self, api: Api, admin: User, submitted: Submit, django_assert_max_num_queries: Any
    ) -> None:
        for number, unit in enumerate(("cost", "tokens", "requests")):
            for subject in ("user:admin", "everybody", "agent:echo"):
                create_quota(subject=subject, unit=unit, period="day", amount=Decimal(9_000 + number), actor=SYSTEM)
        submitted(admin, limits={"cost": "2", "tokens": 100})
        finish("0.5", 9)
        submitted(admin, limits={"cost": "2", "tokens": 100})
        with django_assert_max_num_queries(8):
            rows = api(admin).get(QUOTAS).json()["results"]
        assert {(row["spent"], row["reserved"], row["left"]) for row in rows if row["unit"] == "cost"} == {
            ("0.500000", "2.000000", "8997.500000")
        }
        assert {row["spent"] for row in rows if row["unit"] == "requests"} == {"2.000000"}

    def test_a_submission_that_is_too_dear_is_told_which_quota_and_when_to_come_back(
        self, api: Api, member: User, submitted: Submit
    ) -> None:
        create_quota(subject="user:member", unit="cost", period="day", amount=Decimal("0.05"), actor=SYSTEM)
        body = {"agent": "echo", "input": "x", "limits": {"cost": 0.05}}
        assert api(member).post(TASKS, body, headers={"Idempotency-Key": "k"}).status_code == 202
        refused = api(member).post(TASKS, body)
        assert (refused.status_code, refused.json()["type"]) == (429, "urn:mutirao:quota-exceeded")
        assert (refused.json()["quota"], refused.json()["unit"]) == ("user:member cost/day", "cost")
        assert 0 < int(refused["Retry-After"]) <= 86_400
        assert "RateLimit-Limit" in refused
        again = api(member).post(TASKS, body, headers={"Idempotency-Key": "k"})
        assert (again.status_code, again["Idempotent-Replayed"]) == (202, "true")
        assert api(member).post(f"{TASKS}/bulk", {"tasks": [body]}).status_code == 429
        assert Task.objects.count() == 1

    @pytest.mark.parametrize("cost", [-1, 0, "NaN", "Infinity", 1e300, "1e-400000", True, [], "x"])
    def test_a_limit_of_a_task_that_is_none_is_no_way_around(
        self, api: Api, member: User, submitted: Submit, cost: Any
    ) -> None:
        create_quota(subject="user:member", unit="cost", period="day", amount=Decimal("0.05"), actor=SYSTEM)
        answer = api(member).post(TASKS, {"agent": "echo", "input": "x", "limits": {"cost": cost}})
        assert answer.status_code == 400, answer.content
        assert not Task.objects.exists()


class TestRateLimits:
    def test_setting_changing_and_deleting_one(self, api: Api, admin: User, member: User) -> None:
        made = api(admin).post(RATES, {"subject": "user:member", "rate": "5/m"})
        assert (made.status_code, made.json()["subject"], made.json()["rate"]) == (201, "user:member", "5/m")
        assert api(admin).patch(made["Location"], {"rate": "6/m"}).json()["rate"] == "6/m"
        assert api(member).get(made["Location"]).json()["rate"] == "6/m"
        assert api(member).patch(made["Location"], {"rate": "600/m"}).status_code == 403
        assert api(admin).delete(made["Location"]).status_code == 204
        assert not RateLimit.objects.exists()

    @pytest.mark.parametrize("rate", ["1000/month", "-1/m", "", "x", None, 5, "9" * 30])
    def test_a_wrong_rate_is_refused(self, api: Api, admin: User, rate: Any) -> None:
        answer = api(admin).post(RATES, {"subject": "everybody", "rate": rate})
        assert (answer.status_code, [*answer.json()["errors"]]) == (400, ["rate"])

    def test_others_see_only_what_bounds_them(self, api: Api, member: User, admin: User) -> None:
        create_rate_limit(subject="user:admin", rate="5000/m", actor=SYSTEM)
        create_rate_limit(subject="everybody", rate="500/m", actor=SYSTEM)
        assert [row["subject"] for row in api(member).get(RATES).json()["results"]] == ["everybody"]
        assert len(api(admin).get(RATES).json()["results"]) == 2
