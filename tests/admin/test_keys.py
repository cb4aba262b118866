"""Keys in the admin: narrowed where they are issued, and rotated with an overlap."""

from __future__ import annotations

import re
from datetime import timedelta
from typing import Any

import pytest
from django.test import Client
from django.urls import reverse
from django.utils.timezone import now

from accounts.audit import SYSTEM
from accounts.issuing import issue_api_key
from accounts.keys import authenticate
from accounts.models import ApiKey, AuditEvent, Quota, RateLimit, User
from agents.definitions.services import create_agent

pytestmark = pytest.mark.django_db
ADD = "/admin/accounts/apikey/add/"
LIST = "/admin/accounts/apikey/"


@pytest.fixture
def page(client: Client, admin: User) -> Client:
    create_agent(slug="echo", name="Echo", model="scripted:echo")
    client.force_login(admin)
    return client


def keys_in(answer: Any) -> list[str]:
    return re.findall(r"mut_[0-9a-f]{10}_[0-9a-f]{64}", answer.content.decode())


def test_a_key_is_narrowed_and_limited_where_it_is_issued(page: Client, member: User) -> None:
    assert 'value="echo"' in page.get(ADD).content.decode()
    given = {
        "owner": str(member.pk), "name": "robot", "scopes": ["tasks:read"], "agents": ["echo"],
        "addresses": "10.1.0.0/16\n203.0.113.7", "rate": "100/m", "monthly_cost": "5",
    }  # fmt: skip
    assert len(keys_in(page.post(ADD, given))) == 1
    row = ApiKey.objects.get()
    assert (row.agents, row.addresses) == (["echo"], ["10.1.0.0/16", "203.0.113.7/32"])
    assert (RateLimit.objects.get().api_key, Quota.objects.get().api_key) == (row, row)
    shown = page.get(reverse("admin:accounts_apikey_change", args=[row.pk])).content.decode()
    assert "see tasks and their events" in shown
    assert "10.1.0.0/16, 203.0.113.7/32" in shown


@pytest.mark.parametrize(
    "wrong",
    [
        {"agents": ["nothing"]},
        {"addresses": "10.1.0.5/16"},
        {"rate": "1000/month"},
        {"monthly_cost": "-1"},
        {"scopes": ["everything"]},
        {"owner": ""},
        {"name": ""},
    ],
)
def test_what_is_wrong_is_said_beside_the_field(page: Client, member: User, wrong: dict[str, Any]) -> None:
    answer = page.post(ADD, {"owner": str(member.pk), "name": "robot", **wrong})
    assert answer.status_code == 200
    assert [*answer.context["adminform"].form.errors] == [*wrong]
    assert not ApiKey.objects.exists()


def test_an_agent_that_the_owner_may_not_use_is_refused(page: Client, outsider: User) -> None:
    answer = page.post(ADD, {"owner": str(outsider.pk), "name": "robot", "agents": ["echo"]})
    assert "echo" in str(answer.context["adminform"].form.errors["agents"])
    assert not ApiKey.objects.exists()


def test_rotating_asks_how_long_the_old_one_goes_on_and_shows_the_new_one_once(page: Client, member: User) -> None:
    old = issue_api_key(owner=member, name="robot", agents=["echo"], actor=SYSTEM)
    chosen = {"action": "rotate_keys", "_selected_action": [str(old.row.pk)]}
    assert 'name="overlap"' in page.post(LIST, chosen).content.decode()
    assert ApiKey.objects.count() == 1
    assert "Rotate these keys?" in page.post(LIST, chosen | {"confirmed": "yes", "overlap": "7"}).content.decode()
    answer = page.post(LIST, chosen | {"confirmed": "yes", "overlap": "3600"})
    assert "no-store" in answer.headers["Cache-Control"]
    (text,) = keys_in(answer)
    assert authenticate(text).agents == ["echo"]
    old.row.refresh_from_db()
    assert old.row.expires_at is not None
    assert old.row.expires_at <= now() + timedelta(hours=1)
    assert AuditEvent.objects.filter(verb="api_key.rotate").count() == 1
    again = page.post(LIST, chosen | {"confirmed": "yes", "overlap": "0"}, follow=True)
    assert keys_in(again) == []
    assert "cannot be rotated" in again.content.decode()


def test_an_operator_issues_no_keys(client: Client, operator: User) -> None:
    client.force_login(operator)
    assert client.get(ADD).status_code == 403
    assert client.get(LIST).status_code == 403
