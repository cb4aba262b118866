"""Secrets under a new key, and the old key gone."""

from __future__ import annotations

import io
from typing import Any

import pytest
from allauth.mfa.models import Authenticator
from cryptography.fernet import Fernet
from django.core.management import CommandError, call_command

from accounts.models import User
from agents.gateway.models import Credential
from agents.webhooks.models import Endpoint
from foundation.encryption import CannotDecrypt, decrypt, encrypt
from tests.gateway.settings_made import SECRET, a_credential

pytestmark = pytest.mark.django_db


def rotate() -> str:
    output = io.StringIO()
    call_command("rotate_secrets", stdout=output)
    return output.getvalue()


@pytest.fixture
def sealed(member: User) -> Authenticator:
    """A credential, a webhook's secret and a second factor under the old key."""
    a_credential()
    Endpoint.objects.create(owner=member, url="https://8.8.8.8/", secret="whsec_1", previous_secret="")
    return Authenticator.objects.create(user=member, type="totp", data={"secret": encrypt("totp-secret"), "kept": 1})


def test_everything_is_readable_with_the_new_key_alone(sealed: Authenticator, settings: Any) -> None:
    old, new = settings.ENCRYPTION_KEYS[0], Fernet.generate_key().decode()
    settings.ENCRYPTION_KEYS = [new, old]
    said = rotate()
    assert "agents_gateway.Credential.secret: 1 sealed anew, 0 as they were, 0 unreadable" in said
    assert "agents_webhooks.Endpoint.previous_secret: 0 sealed anew" in said

    settings.ENCRYPTION_KEYS = [new]
    assert Credential.objects.get().secret == SECRET
    assert Endpoint.objects.get().secret == "whsec_1"
    sealed.refresh_from_db()
    assert (decrypt(sealed.data["secret"]), sealed.data["kept"]) == ("totp-secret", 1)


def test_without_it_the_old_key_could_not_go(sealed: Authenticator, settings: Any) -> None:
    settings.ENCRYPTION_KEYS = [Fernet.generate_key().decode()]
    with pytest.raises(CannotDecrypt):
        Credential.objects.get()


def test_it_can_be_run_again(sealed: Authenticator, settings: Any) -> None:
    settings.ENCRYPTION_KEYS = [Fernet.generate_key().decode(), *settings.ENCRYPTION_KEYS]
    rotate()
    assert "agents_gateway.Credential.secret: 0 sealed anew, 1 as they were" in rotate()


def test_what_no_key_opens_is_said_and_the_rest_is_done(sealed: Authenticator, settings: Any) -> None:
    old, lost = settings.ENCRYPTION_KEYS[0], Fernet.generate_key().decode()
    settings.ENCRYPTION_KEYS = [lost]
    a_credential("other")
    new = Fernet.generate_key().decode()
    settings.ENCRYPTION_KEYS = [new, old]
    with pytest.raises(CommandError):
        rotate()
    settings.ENCRYPTION_KEYS = [new]
    assert Credential.objects.get(name="main").secret == SECRET
