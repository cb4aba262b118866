"""MUTIRAO_REQUIRE_SECOND_FACTOR: whoever must have one and has none gets to the page that turns it on, no further."""

from __future__ import annotations

from typing import Any

import pytest
from allauth.mfa.models import Authenticator
from allauth.mfa.totp.internal.auth import TOTP, generate_totp_secret
from django.core.checks import run_checks
from django.db import connection
from django.test import Client
from django.test.utils import CaptureQueriesContext
from django.urls import reverse
from rest_framework.test import APIClient

from accounts import second_factor
from accounts.audit import SYSTEM
from accounts.issuing import issue_api_key
from accounts.models import User
from tests.parts.authenticator import code_of

pytestmark = pytest.mark.django_db
SETUP = "/account/two-factor/totp/activate/"
TOKEN = "/api/v1/auth/token"


@pytest.fixture
def cast(admin: User, operator: User, member: User) -> dict[str, User]:
    chief = User.objects.create_user("chief", password="chief-password-1")
    chief.groups.set(admin.groups.all())
    return {"admin": admin, "chief": chief, "operator": operator, "member": member}


@pytest.mark.parametrize(
    ("wanted", "names"),
    [
        ("", set()),
        ("administrators", {"admin", "chief"}),
        ("staff", {"admin", "operator"}),
        ("everyone", {"admin", "chief", "operator", "member"}),
    ],
)
def test_who_must_have_one(cast: dict[str, User], settings: Any, wanted: str, names: set[str]) -> None:
    settings.REQUIRE_SECOND_FACTOR = wanted
    assert {name for name, user in cast.items() if second_factor.is_required(user)} == names


def test_a_word_that_is_none_is_refused_at_the_start_and_counts_as_everyone(settings: Any, member: User) -> None:
    settings.REQUIRE_SECOND_FACTOR = "admins"
    assert "mutirao.E021" in {found.id for found in run_checks(tags=["environment"])}
    assert second_factor.is_required(member)
    settings.REQUIRE_SECOND_FACTOR = "staff"
    assert "mutirao.E021" not in {found.id for found in run_checks(tags=["environment"])}


CLOSED = [
    "/",
    "/keys/",
    "/settings/",
    "/tasks/",
    "/admin/",
    "/admin/accounts/user/",
    "/account/two-factor/",
    "/nothing/",
]
OPEN = [
    "/account/password/change/", "/account/password/reset/", "/account/logout/", "/account/reauthenticate/",
]  # fmt: skip


def test_every_page_leads_to_the_one_that_turns_it_on(client: Client, admin: User, settings: Any) -> None:
    client.force_login(admin)
    assert {client.get(path).status_code for path in CLOSED} == {200, 404}
    # The session is older than the setting.
    settings.REQUIRE_SECOND_FACTOR = "administrators"
    for path in CLOSED:
        for answer in (client.get(path), client.post(path)):
            assert (answer.status_code, answer.headers["Location"]) == (302, SETUP), path
    for path in OPEN:
        assert client.get(path).status_code == 200, path
    part = client.get("/tasks/", headers={"hx-request": "true"})
    assert (part.status_code, part.headers["HX-Redirect"]) == (200, SETUP)


def test_the_page_says_why_and_then_everything_is_open(client: Client, admin: User, settings: Any) -> None:
    settings.REQUIRE_SECOND_FACTOR = "administrators"
    client.post("/account/login/", {"login": "admin", "password": "admin-password-1"})
    asked = client.get("/", follow=True)
    assert asked.redirect_chain[0][0] == SETUP
    assert "needs a second factor" in asked.content.decode()
    client.post("/account/reauthenticate/", {"password": "admin-password-1"})
    page = client.get("/", follow=True)
    assert page.request["PATH_INFO"] == SETUP
    assert "needs a second factor" in page.content.decode()
    assert client.post(SETUP, {"code": code_of(page.context["form"].secret)}).status_code == 302
    assert client.get("/").status_code == 200
    assert client.get("/admin/").status_code == 200


def test_others_are_not_asked(client: Client, operator: User, settings: Any) -> None:
    settings.REQUIRE_SECOND_FACTOR = "administrators"
    client.force_login(operator)
    assert client.get("/").status_code == 200
    assert Client().get("/account/login/").status_code == 200


def test_it_is_not_turned_off_while_it_is_required(client: Client, admin: User, settings: Any) -> None:
    TOTP.activate(admin, generate_totp_secret())
    settings.REQUIRE_SECOND_FACTOR = "everyone"
    client.force_login(admin)
    client.post("/account/reauthenticate/", {"password": "admin-password-1"})
    off = reverse("mfa_deactivate_totp")
    answer = client.post(off)
    assert answer.status_code == 200
    assert 'role="alert"' in answer.content.decode()
    assert Authenticator.objects.count() == 1
    settings.REQUIRE_SECOND_FACTOR = ""
    client.post(off)
    assert not Authenticator.objects.exists()


def test_the_api_gives_no_tokens_and_keys_go_on(admin: User, settings: Any) -> None:
    key = issue_api_key(owner=admin, name="robot", actor=SYSTEM).key
    given = {"username": "admin", "password": "admin-password-1"}
    pair = APIClient().post(TOKEN, given).json()
    settings.REQUIRE_SECOND_FACTOR = "staff"
    for path, body in ((TOKEN, given), (f"{TOKEN}/refresh", {"refresh": pair["refresh"]})):
        answer = APIClient().post(path, body)
        assert (answer.status_code, answer.json()["type"]) == (403, "urn:mutirao:second-factor-setup-required")
    # Who only guesses is not told whose account it is.
    assert APIClient().post(TOKEN, given | {"password": "wrong"}).status_code == 401
    client = APIClient()
    client.credentials(HTTP_X_API_KEY=key)
    assert client.get("/api/v1/me").status_code == 200
    settings.REQUIRE_SECOND_FACTOR = ""
    assert APIClient().post(f"{TOKEN}/refresh", {"refresh": pair["refresh"]}).status_code == 200


def test_asking_costs_one_query_a_page(client: Client, member: User, settings: Any) -> None:
    TOTP.activate(member, generate_totp_secret())
    client.force_login(member)
    settings.REQUIRE_SECOND_FACTOR = "everyone"
    client.get("/keys/")  # which remembers what every page asks for now and then
    with CaptureQueriesContext(connection) as asked:
        client.get("/keys/")
    settings.REQUIRE_SECOND_FACTOR = ""
    with CaptureQueriesContext(connection) as before:
        client.get("/keys/")
    assert len(asked) - len(before) == 1
