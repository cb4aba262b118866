"""Periods, warnings, files and how quotas stand."""

from __future__ import annotations

import io
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from pathlib import Path
from smtplib import SMTPException
from typing import Any

import pytest
import yaml
from django.core import mail
from django.core.management import CommandError, call_command
from django.utils import timezone

from accounts import ledger, quota_warnings
from accounts.audit import SYSTEM
from accounts.exceptions import InvalidLimit
from accounts.issuing import issue_api_key
from accounts.ledger import Spent
from accounts.limits import change_quota, create_quota
from accounts.models import AuditEvent, Quota, QuotaPeriod, RateLimit, Reservation, User
from accounts.periods import BEGINNING, end_of, start_of
from accounts.quotas import Allowance, Rule, shares_of
from agents.definitions.services import create_agent
from agents.webhooks.models import Delivery
from agents.webhooks.services import Wishes, register_endpoint
from foundation.models import new_id
from foundation.pruning import rules

pytestmark = pytest.mark.django_db

NOON = datetime(2026, 2, 28, 23, 59, 59, tzinfo=UTC)


@pytest.fixture(autouse=True)
def _at_once(settings: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    settings.TASK_SETTINGS_CACHE_SECONDS = 0
    ledger.forget()
    monkeypatch.setattr(quota_warnings, "later", lambda work: work())


def quota(subject: str = "user:member", amount: int = 100, **options: Any) -> Quota:
    usual: dict[str, Any] = {"unit": "cost", "period": "month", "amount": Decimal(amount)}
    return create_quota(subject=subject, actor=SYSTEM, **(usual | options))


def spend(of: Quota, user: User, cost: int) -> None:
    """A task that reserves next to nothing, and comes to this much."""
    rule = Rule(of.pk, of.unit, of.period, None, of.each_member, None, None, None, None)
    task_id = new_id()
    shares = shares_of([rule], user=user, allowance=Allowance(cost=Decimal("0.000001")), now=timezone.now())
    ledger.reserve(task_id, shares)
    ledger.settle({task_id: Spent(cost=Decimal(cost))})


def marks() -> list[int]:
    """The marks that somebody was warned of."""
    return [event.changes["mark"] for event in AuditEvent.objects.filter(verb="quota.warned").order_by("created_at")]


@pytest.mark.parametrize(
    ("period", "start", "end"),
    [
        ("minute", datetime(2026, 2, 28, 23, 59, tzinfo=UTC), datetime(2026, 3, 1, tzinfo=UTC)),
        ("day", datetime(2026, 2, 28, tzinfo=UTC), datetime(2026, 3, 1, tzinfo=UTC)),
        ("month", datetime(2026, 2, 1, tzinfo=UTC), datetime(2026, 3, 1, tzinfo=UTC)),
        ("", BEGINNING, None),
    ],
)
def test_periods_are_of_utc(period: str, start: datetime, end: datetime | None) -> None:
    assert start_of(period, NOON) == start
    assert start_of(period, NOON.astimezone(timezone.get_fixed_timezone(-180))) == start
    assert end_of(period, start) == end


def test_somebody_is_warned_once_at_each_mark(member: User, django_capture_on_commit_callbacks: Any) -> None:
    member.email = "member@example.org"
    member.save()
    budget = quota()
    with django_capture_on_commit_callbacks(execute=True):
        for cost in (49, 1, 10, 19, 1, 15, 4, 1):
            spend(budget, member, cost)
    marks = (
        AuditEvent.objects.filter(verb="quota.warned").order_by("created_at").values_list("changes__mark", flat=True)
    )
    assert [*marks] == [50, 80, 100]
    assert [letter.to for letter in mail.outbox] == [["member@example.org"]] * 3
    assert "user:member cost/month" in mail.outbox[0].body
    assert "50 of 100" in mail.outbox[0].body
    assert "no task that it counts is accepted" in mail.outbox[2].body


def test_a_jump_over_several_marks_is_one_warning(member: User) -> None:
    spend(quota(), member, 99)
    assert marks() == [80]


def test_a_raised_amount_warns_again(member: User) -> None:
    budget = quota()
    spend(budget, member, 90)
    change_quota(quota=budget, actor=SYSTEM, changes={"amount": Decimal(200)})
    assert QuotaPeriod.objects.get().warned == 0
    spend(budget, member, 20)
    assert AuditEvent.objects.filter(verb="quota.warned").count() == 2


@pytest.mark.parametrize("options", [{"period": "minute"}, {"unit": "unfinished", "period": ""}])
def test_of_what_is_over_at_once_nobody_is_warned(member: User, options: dict[str, Any]) -> None:
    spend(quota(**options), member, 99)
    assert not AuditEvent.objects.filter(verb="quota.warned").exists()


def test_of_what_is_shared_those_are_warned_who_may_change_it(
    member: User, admin: User, operator: User, django_capture_on_commit_callbacks: Any
) -> None:
    for user in (member, admin, operator):
        user.email = f"{user.username}@example.org"
        user.save()
    with django_capture_on_commit_callbacks(execute=True):
        spend(quota("everybody"), member, 60)
    assert [letter.to for letter in mail.outbox] == [["admin@example.org"]]
    mail.outbox.clear()
    with django_capture_on_commit_callbacks(execute=True):
        spend(quota("everybody", each_member=True), member, 60)
    assert [letter.to for letter in mail.outbox] == [["member@example.org"]]


def test_a_key_warns_its_owner_in_their_language(member: User, django_capture_on_commit_callbacks: Any) -> None:
    member.email, member.language = "member@example.org", "pt-br"
    member.save()
    key = issue_api_key(owner=member, name="k", actor=SYSTEM).row
    with django_capture_on_commit_callbacks(execute=True):
        spend(quota(f"key:{key.prefix}"), member, 60)
    assert [letter.to for letter in mail.outbox] == [["member@example.org"]]


def test_a_mail_server_that_is_away_breaks_nothing(
    member: User, monkeypatch: pytest.MonkeyPatch, django_capture_on_commit_callbacks: Any
) -> None:
    member.email = "member@example.org"
    member.save()

    def fail(*_args: Any, **_options: Any) -> Any:
        raise SMTPException

    monkeypatch.setattr("django.core.mail.backends.locmem.EmailBackend.send_messages", fail)
    with django_capture_on_commit_callbacks(execute=True):
        spend(quota(), member, 60)
    assert QuotaPeriod.objects.get().spent == 60


def test_the_persons_webhook_endpoints_are_told(member: User, admin: User, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("foundation.egress.check_destination", lambda *_a, **_k: None)
    for owner in (member, admin):
        register_endpoint(owner=owner, actor=SYSTEM, wishes=Wishes(url="https://192.0.2.1/hook"))
    spend(quota(), member, 85)
    delivery = Delivery.objects.get()
    assert (delivery.owner, delivery.event, delivery.task_id) == (member, "quota.warning", None)
    said = yaml.safe_load(delivery.body)
    assert (said["type"], said["data"]["percent"], said["data"]["spent"]) == ("quota.warning", 80, "85")


def test_old_periods_are_pruned_and_the_others_stay(member: User) -> None:
    budget, unfinished = quota(), quota(unit="unfinished", period="")
    old = timezone.now() - timedelta(days=401)
    for starts_at in (old, timezone.now()):
        QuotaPeriod.objects.create(quota=budget, starts_at=starts_at)
    QuotaPeriod.objects.create(quota=unfinished, starts_at=BEGINNING)
    held = QuotaPeriod.objects.create(quota=budget, starts_at=old - timedelta(days=1), reserved=1)
    Reservation.objects.create(period=held, task_id=new_id(), amount=1)
    (rule,) = (each for each in rules() if each.name == "quota-periods")
    due = rule.due()
    assert due is not None
    assert [*due.values_list("starts_at", flat=True)] == [old]


@pytest.fixture
def files(tmp_path: Path) -> Path:
    return tmp_path / "limits.yaml"


def run(command: str, *arguments: object, **options: Any) -> str:
    output = io.StringIO()
    call_command(command, *map(str, arguments), stdout=output, **options)
    return output.getvalue()


def test_limits_go_into_a_file_and_come_back(member: User, files: Path) -> None:
    create_agent(slug="helper")
    key = issue_api_key(owner=member, name="k", actor=SYSTEM).row
    quota()
    quota("agent:helper", unit="requests", period="day")
    quota("everybody", each_member=True, amount=200)
    quota(f"key:{key.prefix}")
    document = {"mutirao": 1, "rate_limits": {"user:member": {"rates": ["5/s", "100/m"]}}}
    files.write_text(yaml.safe_dump(document))
    run("apply", files)
    assert RateLimit.objects.count() == 2
    files = files.with_name("written.yaml")
    run("export", files)
    written = yaml.safe_load(files.read_text())
    assert written["quotas"] == {
        "user:member cost/month": {"amount": "100", "reserve": None, "is_enabled": True},
        "agent:helper requests/day": {"amount": "100", "reserve": None, "is_enabled": True},
        "everybody cost/month each": {"amount": "200", "reserve": None, "is_enabled": True},
    }
    assert written["rate_limits"] == {"user:member": {"rates": ["100/m", "5/s"]}}
    assert run("apply", files) == "Nothing to change.\n"
    Quota.objects.filter(api_key=None).delete()
    RateLimit.objects.all().delete()
    run("apply", files)
    assert (Quota.objects.count(), RateLimit.objects.count()) == (4, 2)


@pytest.mark.parametrize(
    "document",
    [
        {"quotas": {"user:nobody cost/month": {"amount": 1}}}, {"quotas": {"user:member hugs/month": {"amount": 1}}},
        {"quotas": {"user:member cost/month": {"amount": "much"}}}, {"quotas": {"user:member cost/month": {}}},
        {"quotas": {"user:member cost/month": {"amount": -1}}},
        {"quotas": {"user:member cost/month": {"amount": True}}},
        {"quotas": {"user:member unfinished/month": {"amount": 1}}}, {"quotas": {"": {"amount": 1}}},
        {"quotas": {"user:member cost/month": {"amount": 1, "is_enabled": "perhaps"}}},
        {"rate_limits": {"user:member": {"rates": ["1000/month"]}}}, {"rate_limits": {"moon": {"rates": ["1/m"]}}},
        {"rate_limits": {"user:member": {"rates": "1/m"}}},
    ],
)  # fmt: skip
def test_a_file_with_something_wrong_changes_nothing(member: User, files: Path, document: dict[str, Any]) -> None:
    files.write_text(yaml.safe_dump({"mutirao": 1, **document}))
    with pytest.raises(CommandError, match=r"\."):
        run("apply", files)
    assert (Quota.objects.count(), RateLimit.objects.count()) == (0, 0)


@pytest.mark.parametrize("amount", ["NaN", "-1", "Infinity"])
def test_an_amount_that_is_none_is_refused(member: User, amount: str) -> None:
    with pytest.raises(InvalidLimit):
        quota(amount=Decimal(amount))  # type: ignore[arg-type]
