"""My keys."""

from __future__ import annotations

import re
from datetime import timedelta
from typing import Any

import pytest
from django.test import Client
from django.utils.timezone import now

from accounts import keys
from accounts.audit import SYSTEM
from accounts.exceptions import InvalidKey
from accounts.issuing import IssuedKey, issue_api_key, rotate_api_key
from accounts.keys import authenticate
from accounts.models import ApiKey, AuditEvent, Quota, RateLimit, User
from accounts.scopes import SCOPES
from agents.definitions.models import Agent

pytestmark = pytest.mark.django_db


@pytest.fixture
def page(client: Client, member: User) -> Client:
    """The member is signed in."""
    client.force_login(member)
    return client


@pytest.fixture
def issued(member: User) -> IssuedKey:
    return issue_api_key(owner=member, name="laptop", scopes=["tasks:read"], actor=SYSTEM)


def shown_key(response: Any) -> str:
    found = re.findall(r"mut_[0-9a-f]{10}_[0-9a-f]{64}", response.content.decode())
    assert len(found) <= 1
    return found[0] if found else ""


def opens(key: str) -> bool:
    keys.forget()
    try:
        authenticate(key)
    except InvalidKey:
        return False
    return True


def test_without_a_key_the_page_offers_to_make_one(page: Client) -> None:
    text = page.get("/keys/").content.decode()
    assert "You have no key" in text
    assert 'href="/keys/new/"' in text


def test_a_new_key_is_shown_once_and_a_reload_makes_no_second_one(page: Client, member: User) -> None:
    wanted = {"name": "laptop", "scopes": ["tasks:read", "tasks:write"], "days": "30"}
    response = page.post("/keys/new/", wanted)
    assert (response.status_code, response.headers["Cache-Control"]) == (200, "no-store")
    assert opens(shown_key(response))
    row = ApiKey.objects.get()
    assert (row.owner, row.scopes) == (member, ["tasks:read", "tasks:write"])
    assert row.expires_at is not None
    assert timedelta(days=29) < row.expires_at - now() < timedelta(days=31)
    reloaded = page.post("/keys/new/", wanted)
    assert shown_key(reloaded) == ""
    assert "already has a key named" in reloaded.content.decode()
    assert shown_key(page.get("/keys/")) == ""
    assert ApiKey.objects.count() == 1


@pytest.mark.parametrize(
    "wrong",
    [
        {"name": ""},
        {"name": "x" * 101},
        {"scopes": ["everything"]},
        {"days": "0.5"},
        {"agents": ["nothing"]},
        {"addresses": "somewhere"},
        {"rate": "1000/month"},
        {"monthly_cost": "-1"},
    ],
)
def test_what_is_wrong_with_a_new_key_is_said_beside_the_field(page: Client, wrong: dict[str, Any]) -> None:
    response = page.post("/keys/new/", {"name": "laptop", "days": "30", **wrong})
    assert "_error" in response.content.decode()
    assert not ApiKey.objects.exists()


def test_rotating_shows_the_new_key_once_and_keeps_the_old_one_for_as_long_as_was_chosen(
    page: Client, issued: IssuedKey
) -> None:
    address = f"/keys/{issued.row.pk}/rotate/"
    assert page.get(address).content.decode().count('type="radio"') == 4
    response = page.post(address, {"overlap": "3600"})
    assert response.headers["Cache-Control"] == "no-store"
    assert (opens(shown_key(response)), opens(issued.key)) == (True, True)
    assert shown_key(page.post(address, {"overlap": "3600"}, follow=True)) == ""
    assert ApiKey.objects.count() == 2
    text = page.get("/keys/").content.decode()
    assert (text.count("rotated, ends soon"), text.count("/rotate/")) == (1, 1)


def test_revoking_asks_first(page: Client, issued: IssuedKey) -> None:
    address = f"/keys/{issued.row.pk}/revoke/"
    assert "cannot be undone" in page.get(address).content.decode()
    assert opens(issued.key)
    page.post(address)
    assert not opens(issued.key)
    assert AuditEvent.objects.filter(verb="api_key.revoke").count() == 1
    assert "Keys that have ended" in page.get("/keys/").content.decode()


def test_the_keys_of_others_are_not_there(page: Client, issued: IssuedKey, admin: User, outsider: User) -> None:
    for other in (admin, outsider):
        client = Client()
        client.force_login(other)
        assert "laptop" not in client.get("/keys/").content.decode()
        for verb in ("rotate", "revoke"):
            assert client.get(f"/keys/{issued.row.pk}/{verb}/").status_code == 404
            assert client.post(f"/keys/{issued.row.pk}/{verb}/", {"overlap": "0"}).status_code == 404
    assert opens(issued.key)


def test_nobody_is_asked_to_sign_in_first_in_vain(client: Client, issued: IssuedKey) -> None:
    for address in ("/keys/", "/keys/new/", f"/keys/{issued.row.pk}/revoke/"):
        assert client.get(address).headers["Location"] == f"/account/login/?next={address}"


def test_a_name_cannot_script_the_page(page: Client, member: User) -> None:
    issue_api_key(owner=member, name="<script>alert(1)</script>", actor=SYSTEM)
    text = page.get("/keys/").content.decode()
    assert "<script>alert" not in text
    assert "&lt;script&gt;alert" in text


def test_the_list_costs_the_same_for_one_key_and_for_thirty(
    page: Client, member: User, django_assert_max_num_queries: Any
) -> None:
    for count in (1, 29):
        for number in range(count):
            made = issue_api_key(owner=member, name=f"{count} {number}", actor=SYSTEM)
            rotate_api_key(api_key=made.row, actor=SYSTEM, overlap=timedelta(hours=number))
        page.get("/keys/")  # which remembers what every page asks for now and then
        with django_assert_max_num_queries(6):
            assert page.get("/keys/").status_code == 200


def test_a_key_is_narrowed_and_limited_where_it_is_made(page: Client, agent: Agent, member: User) -> None:
    form = page.get("/keys/new/").content.decode()
    assert re.findall(r'role="group" aria-label="([^"]+)"', form)[:2] == ["Agents", "Tasks"]
    assert 'name="agents" value="echo"' in form
    wanted = {
        "name": "robot", "days": "30", "agents": ["echo"], "addresses": "10.1.0.0/16\r\n203.0.113.7, 203.0.113.8",
        "rate": "100/m", "monthly_cost": "2.50",
    }  # fmt: skip
    assert shown_key(page.post("/keys/new/", wanted))
    row = ApiKey.objects.get()
    assert (row.agents, row.addresses) == (["echo"], ["10.1.0.0/16", "203.0.113.7/32", "203.0.113.8/32"])
    assert RateLimit.objects.get(api_key=row).rate == "100/m"
    assert Quota.objects.get(api_key=row).amount == 2.5
    ApiKey.objects.update(last_used_at=now(), last_used_from="203.0.113.7")
    listed = page.get("/keys/").content.decode()
    assert "203.0.113.7/32" in listed
    assert "from 203.0.113.7" in listed


def test_agents_that_one_may_not_use_are_not_offered(client: Client, agent: Agent, outsider: User) -> None:
    client.force_login(outsider)
    assert 'name="agents"' not in client.get("/keys/new/").content.decode()
    refused = client.post("/keys/new/", {"name": "robot", "days": "30", "agents": ["echo"]})
    assert refused.status_code == 200
    assert not ApiKey.objects.exists()


def test_every_scope_stands_under_a_heading_in_words(page: Client) -> None:
    headings = re.findall(r'<div role="group" aria-label="([^"]+)">', page.get("/keys/new/").content.decode())
    areas = dict.fromkeys(scope.partition(":")[0] for scope in SCOPES)
    assert len(headings) == len(areas) > 12
    assert not {*headings} & {*areas}
