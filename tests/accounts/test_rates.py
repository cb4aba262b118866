"""Rates as people write them, who they apply to, and who is counted together."""

from __future__ import annotations

from typing import Any

import pytest
from django.contrib.auth.models import Group

from accounts import limiting
from accounts.audit import SYSTEM
from accounts.exceptions import InvalidLimit
from accounts.issuing import rotate_api_key
from accounts.limiting import Limit, Usage
from accounts.limits import change_rate_limit, create_rate_limit, delete_rate_limit
from accounts.models import AuditEvent, RateLimit, User
from accounts.rates import Rate, parse_rate
from mutirao import checks
from tests.accounts.conftest import Issue


@pytest.mark.parametrize(
    ("text", "rate"),
    [
        ("100/m", (100, 60)),
        (" 5/s ", (5, 1)),
        ("20/10s", (20, 10)),
        ("0/h", (0, 3600)),
        ("10000000/d", (10**7, 86_400)),
    ],
)
def test_a_rate_is_so_many_in_so_many_seconds(text: str, rate: tuple[int, int]) -> None:
    assert parse_rate(text) == Rate(*rate)


@pytest.mark.parametrize(
    "text",
    [
        "", "100", "100/month", "1000/month", "-1/m", "1.5/m", "1/0s", "1/2d", "10000001/s", "99999999/s", "1/99999s",
        "1e3/m", "ten/m", "1/m; 2/m", "١٠/m", "nan/m", "1/m\n1/m", "1/M",
    ],
)  # fmt: skip
def test_what_is_no_rate_is_refused_in_a_sentence(text: str) -> None:
    with pytest.raises(ValueError, match=r"\.$"):
        parse_rate(text)


@pytest.mark.parametrize(
    ("address", "group"),
    [
        (None, "-"), ("192.0.2.7", "192.0.2.7"), ("2001:db8:1:2:3:4:5:6", "2001:db8:1:2::/64"),
        ("2001:db8:1:2:ffff::1", "2001:db8:1:2::/64"), ("fe80::1%eth0", "fe80::/64"),
    ],
)  # fmt: skip
def test_a_household_counts_as_one_address(address: str | None, group: str) -> None:
    assert limiting.group_of(address) == group


def _scopes(limits: list[Limit]) -> list[tuple[str, int]]:
    return [(limit.scope, limit.rate.count) for limit in limits]


@pytest.mark.django_db
class TestWhoseItIs:
    @pytest.fixture(autouse=True)
    def _at_once(self, settings: Any) -> None:
        settings.TASK_SETTINGS_CACHE_SECONDS = 0
        settings.RATE_USER, settings.RATE_KEY = "600/m", ""

    def test_without_rows_the_settings_count(self, member: User, issue: Issue, settings: Any) -> None:
        key = issue().row
        assert _scopes(limiting.limits_of_caller(member, key)) == [("user", 600)]
        settings.RATE_KEY, settings.RATE_USER = "50/m", ""
        assert _scopes(limiting.limits_of_caller(member, key)) == [("key", 50)]
        assert limiting.limits_of_caller(member, None) == []

    def test_a_row_replaces_what_the_settings_say_and_all_else_is_added(
        self, member: User, outsider: User, issue: Issue
    ) -> None:
        key = issue().row
        team = Group.objects.create(name="team")
        member.groups.add(team)
        for subject, rate in (
            ("everybody", "500/m"), ("user:member", "700/m"), ("user:member", "70/s"), ("role:team", "60/m"),
            (f"key:{key.prefix}", "30/m"),
        ):  # fmt: skip
            create_rate_limit(subject=subject, rate=rate, actor=SYSTEM)
        found = limiting.limits_of_caller(member, key)
        assert _scopes(found) == [("user", 700), ("user", 70), ("key", 30), ("role", 60)]
        assert found[-1].holder == f"{team.pk}:{member.pk}"
        assert _scopes(limiting.limits_of_caller(outsider, None)) == [("user", 500)]

    def test_a_key_is_counted_with_those_before_it(self, member: User, issue: Issue) -> None:
        key = issue().row
        create_rate_limit(subject=f"key:{key.prefix}", rate="30/m", actor=SYSTEM)
        newer = rotate_api_key(api_key=key, actor=SYSTEM).row
        assert limiting.limits_of_caller(member, newer) == limiting.limits_of_caller(member, key)

    def test_a_callers_limits_cost_a_query_only_when_a_role_has_one(
        self, member: User, settings: Any, django_assert_num_queries: Any
    ) -> None:
        settings.TASK_SETTINGS_CACHE_SECONDS = 60
        limiting.forget()
        limiting.limits_of_caller(member, None)
        with django_assert_num_queries(0):
            limiting.limits_of_caller(member, None)

    @pytest.mark.parametrize(
        ("subject", "rate", "field"),
        [
            ("user:nobody", "1/m", "subject"), ("", "1/m", "subject"), ("team", "1/m", "subject"),
            ("agent:none", "1/m", "subject"), ("user:\0", "1/m", "subject"), ("everybody", "1000/month", "rate"),
            ("everybody", "", "rate"),
        ],
    )  # fmt: skip
    def test_a_wrong_limit_is_refused_by_field(self, member: User, subject: str, rate: str, field: str) -> None:
        with pytest.raises(InvalidLimit) as refused:
            create_rate_limit(subject=subject, rate=rate, actor=SYSTEM)
        assert [*refused.value.errors] == [field]
        assert not RateLimit.objects.exists()

    def test_what_is_set_changed_and_removed_is_written_down(self, member: User) -> None:
        limit = create_rate_limit(subject="user:member", rate="5/m", actor=SYSTEM)
        change_rate_limit(limit=limit, rate="6/m", actor=SYSTEM)
        change_rate_limit(limit=limit, rate="6/m", actor=SYSTEM)
        delete_rate_limit(limit=limit, actor=SYSTEM)
        whose = f"user:{member.pk}"  # the name is to go when they are erased
        events = AuditEvent.objects.order_by("created_at", "id").values_list("verb", "changes")
        assert [*events] == [
            ("rate_limit.create", {"subject": whose, "rate": {"before": None, "after": "5/m"}}),
            ("rate_limit.change", {"subject": whose, "rate": {"before": "5/m", "after": "6/m"}}),
            ("rate_limit.delete", {"subject": whose, "rate": {"before": "6/m", "after": None}}),
        ]


def test_the_strictest_is_the_one_that_ends_last_or_has_least_left() -> None:
    def usage(count: int, most: int, reset: int) -> Usage:
        return Usage(Limit("user", "x", Rate(most, 60)), count, reset)

    wide, narrow, over, longer = usage(1, 100, 5), usage(1, 3, 50), usage(4, 3, 10), usage(9, 3, 40)
    assert limiting.strictest([wide, narrow]) is narrow
    assert limiting.strictest([wide, over, narrow, longer]) is longer
    assert limiting.strictest([]) is None


@pytest.mark.parametrize(
    ("setting", "value", "check"),
    [
        ("RATE_USER", "1000/month", "mutirao.E030"), ("RATE_ADDRESS", "many", "mutirao.E030"),
        ("RATE_FAIL_CLOSED", ["user", "moon"], "mutirao.E031"), ("QUOTA_RESERVE_TOKENS", 0, "mutirao.E032"),
    ],
)  # fmt: skip
def test_a_wrong_setting_is_an_error_at_start(settings: Any, setting: str, value: Any, check: str) -> None:
    assert checks.limits(None) == []
    setattr(settings, setting, value)
    assert [error.id for error in checks.limits(None)] == [check]
