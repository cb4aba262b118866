"""Signing in to the API by password: the same door as the pages, with the same locks."""

from __future__ import annotations

from typing import Any

import pytest
from allauth.mfa.models import Authenticator
from allauth.mfa.recovery_codes.internal.auth import RecoveryCodes
from allauth.mfa.totp.internal.auth import TOTP, generate_totp_secret
from django.core.management import CommandError, call_command
from rest_framework.test import APIClient

from accounts.models import AuditEvent, User
from tests.parts.authenticator import code_of

pytestmark = pytest.mark.django_db
ADDRESS = "/api/v1/auth/token"
PASSWORD = "member-password-1"


@pytest.fixture
def client() -> APIClient:
    return APIClient()


@pytest.fixture
def secret(member: User) -> str:
    """The member has a second factor, with this secret."""
    made: str = generate_totp_secret()
    TOTP.activate(member, made)
    RecoveryCodes.activate(member)
    return made


def ask(client: APIClient, password: str = PASSWORD, **more: str) -> Any:
    return client.post(ADDRESS, {"username": "member", "password": password, **more})


def test_name_or_mail_and_password_open(client: APIClient, member: User) -> None:
    member.email = User.objects.normalize_email("Member@Example.com")
    member.save()
    assert ask(client).status_code == 200
    assert client.post(ADDRESS, {"username": "member@example.com", "password": PASSWORD}).status_code == 200
    assert AuditEvent.objects.filter(verb="auth.sign_in", outcome="done", actor_id=member.pk).count() == 2


def test_a_wrong_password_is_refused_and_written_down(client: APIClient, member: User) -> None:
    answer = ask(client, "wrong")
    assert (answer.status_code, answer.json()["type"]) == (401, "urn:mutirao:wrong-credentials")
    event = AuditEvent.objects.get(verb="auth.sign_in")
    assert (event.outcome, event.actor_name, event.actor_id) == ("denied", "member", None)
    assert event.address == "127.0.0.1"


def test_the_second_factor_counts_here_too(client: APIClient, secret: str) -> None:
    answer = ask(client)
    assert (answer.status_code, answer.json()["type"]) == (401, "urn:mutirao:second-factor-required")
    assert ask(client, code="000000").json()["type"] == "urn:mutirao:wrong-credentials"
    code = code_of(secret)
    assert ask(client, code=code).status_code == 200
    assert ask(client, code=code).status_code == 401, "a code opens once"


def test_a_recovery_code_opens_once(client: APIClient, secret: str, member: User) -> None:
    kept = Authenticator.objects.get(user=member, type=Authenticator.Type.RECOVERY_CODES)
    code = kept.wrap().get_unused_codes()[0]
    assert ask(client, code=code).status_code == 200
    assert ask(client, code=code).status_code == 401
    assert len(Authenticator.objects.get(pk=kept.pk).wrap().get_unused_codes()) == 9


def test_secrets_of_the_second_factor_are_sealed_in_the_database(secret: str, member: User) -> None:
    stored = [str(data) for data in Authenticator.objects.filter(user=member).values_list("data", flat=True)]
    assert len(stored) == 2
    assert not any(secret in data for data in stored)
    assert all("gAAAA" in data for data in stored)


def test_after_five_failures_the_right_password_is_refused_too(client: APIClient, member: User) -> None:
    assert [ask(client, "wrong").status_code for _ in range(5)] == [401] * 5
    answer = ask(client)
    assert (answer.status_code, answer.json()["type"]) == (429, "urn:mutirao:too-many-attempts")
    assert int(answer["Retry-After"]) > 0


def test_nobody_comes_in_while_nobody_counts(client: APIClient, member: User, settings: Any) -> None:
    settings.CACHES = {"default": {**settings.CACHES["default"], "LOCATION": "redis://127.0.0.1:1/0"}}
    answer = ask(client)
    assert (answer.status_code, answer.json()["type"]) == (503, "urn:mutirao:unavailable")


def test_a_new_password_ends_every_token(client: APIClient, member: User) -> None:
    pair = ask(client).json()
    client.credentials(HTTP_AUTHORIZATION=f"Bearer {pair['access']}")
    assert client.get("/api/v1/me").status_code == 200
    member.set_password("another-password-2")
    member.save()
    assert client.get("/api/v1/me").status_code == 401
    client.credentials()
    assert client.post(f"{ADDRESS}/refresh", {"refresh": pair["refresh"]}).status_code == 401


def test_an_operator_takes_off_a_second_factor_that_was_lost(
    client: APIClient, secret: str, member: User, capsys: pytest.CaptureFixture[str]
) -> None:
    call_command("reset_second_factor", user="member")
    assert "lets member in" in capsys.readouterr().out
    assert not Authenticator.objects.exists()
    assert ask(client).status_code == 200
    event = AuditEvent.objects.get(verb="auth.second_factor_reset")
    assert (event.actor_name, event.subject_id) == ("system", member.pk)
    for name, sentence in (("member", "no second factor"), ("nobody", "no user")):
        with pytest.raises(CommandError, match=sentence):
            call_command("reset_second_factor", user=name)
