"""Holes that others had: fixed sessions, open redirects, cookies that scripts can read, keys that are shown again."""

from __future__ import annotations

import subprocess
import sys
from typing import Any

import pytest
from django.conf import settings
from django.contrib.admin.models import LogEntry
from django.core.checks import run_checks
from django.test import Client
from django.urls import reverse

from accounts.audit import SYSTEM
from accounts.issuing import issue_api_key, rotate_api_key
from accounts.models import AuditEvent, User

pytestmark = pytest.mark.django_db
SIGN_IN = "/account/login/"
MEMBER = {"login": "member", "password": "member-password-1"}


def test_signing_in_gives_another_session_than_the_one_somebody_may_have_planted(client: Client, member: User) -> None:
    planted = client.session
    planted["planted"] = True
    planted.save()
    client.cookies[settings.SESSION_COOKIE_NAME] = str(planted.session_key)
    client.post(SIGN_IN, MEMBER)
    assert client.session.session_key != planted.session_key
    thief = Client()
    thief.cookies[settings.SESSION_COOKIE_NAME] = str(planted.session_key)
    assert (client.get("/").status_code, thief.get("/").status_code) == (200, 302)


OUTSIDE = [
    "https://evil.example/", "//evil.example/", "///evil.example", "/\\evil.example", "\\\\evil.example",
    "http:evil.example", "javascript:alert(1)", " https://evil.example", "https://testserver@evil.example/",
    "https:///evil.example", "/%09/evil.example", "\thttps://evil.example",
]  # fmt: skip


@pytest.mark.parametrize("where", OUTSIDE)
def test_no_sign_in_leads_out_of_the_house(client: Client, member: User, where: str) -> None:
    for answer in (
        client.post(SIGN_IN, MEMBER | {"next": where}),
        client.post(f"{SIGN_IN}?next={where}", MEMBER),
        client.post("/account/reauthenticate/", {"password": MEMBER["password"], "next": where}),
    ):
        location = answer.headers.get("Location", "/")
        assert location.startswith("/"), location
        assert not location.startswith(("//", "/\\")), location


def test_cookies_are_kept_from_scripts_and_other_sites(client: Client, member: User) -> None:
    answer = client.post(SIGN_IN, MEMBER)
    session = answer.cookies[settings.SESSION_COOKIE_NAME]
    assert (session["httponly"], session["samesite"]) == (True, "Lax")
    assert answer.cookies[settings.CSRF_COOKIE_NAME]["samesite"] == "Lax"


def test_cookies_go_over_https_alone_unless_told_otherwise() -> None:
    code = (
        "import os; os.environ.pop('MUTIRAO_HTTPS', None); from mutirao import settings as s;"
        "print(s.SESSION_COOKIE_SECURE, s.CSRF_COOKIE_SECURE, s.SECURE_HSTS_SECONDS > 0)"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.split() == ["True", "True", "True"]


def test_no_server_starts_with_a_key_that_everybody_knows(settings: Any) -> None:
    def found() -> set[str]:
        return {str(each.id) for each in run_checks(tags=["environment"])}

    assert found().isdisjoint({"mutirao.E002", "mutirao.E003"})
    settings.JWT_SIGNING_KEY = "insecure-development-key-no-server-starts-with-it"
    assert "mutirao.E002" in found()
    settings.JWT_SIGNING_KEY = "short"
    assert "mutirao.E002" in found()
    settings.JWT_SIGNING_KEY = settings.SECRET_KEY
    assert "mutirao.E003" in found()


def test_a_key_is_nowhere_after_it_was_shown(client: Client, admin: User) -> None:
    first = issue_api_key(owner=admin, name="laptop", actor=SYSTEM)
    second = rotate_api_key(api_key=first.row, actor=SYSTEM)
    client.force_login(admin)
    pages = [
        reverse("pages:keys"), reverse("admin:accounts_apikey_changelist"),
        reverse("admin:accounts_apikey_change", args=[second.row.pk]),
        reverse("admin:accounts_apikey_history", args=[second.row.pk]),
        reverse("admin:accounts_auditevent_changelist"),
    ]  # fmt: skip
    shown = "".join(client.get(page).content.decode() for page in pages)
    kept = str([*LogEntry.objects.values()]) + str([*AuditEvent.objects.values()])
    assert second.row.prefix in shown
    for issued in (first, second):
        secret = issued.key.split("_")[2]
        assert secret not in shown + kept
        assert issued.row.digest not in shown + kept
