"""Calls go on with the same secret when the key that it is sealed under has changed."""

from __future__ import annotations

from typing import Any

import pytest
from cryptography.fernet import Fernet
from django.core.management import call_command

from agents.gateway import routing
from agents.gateway.exceptions import UnknownRoute
from tests.gateway.conftest import Model
from tests.gateway.routes import deployment, route
from tests.upstream.client import Upstream

pytestmark = pytest.mark.django_db(transaction=True)

SECRET = "sk-entered-before-the-rotation"


@pytest.fixture
def target(upstream: Upstream, settings: Any) -> str:
    settings.EGRESS_ALLOW_HTTP, settings.EGRESS_ALLOWED_HOSTS = True, ["127.0.0.0/8"]
    return route("main", deployment("only", url=upstream.url, secret=SECRET))


def test_a_call_after_the_rotation_shows_the_provider_the_same_secret(
    target: str, upstream: Upstream, model: Model, settings: Any
) -> None:
    old, new = settings.ENCRYPTION_KEYS[0], Fernet.generate_key().decode()
    settings.ENCRYPTION_KEYS = [new, old]
    call_command("rotate_secrets", verbosity=0)
    # A process that starts afterwards, with the new key alone.
    settings.ENCRYPTION_KEYS = [new]
    routing.forget()
    assert model(target).invoke("hi").text
    assert [each.headers["authorization"] for each in upstream.requests()] == [f"Bearer {SECRET}"]


def test_without_the_rotation_there_would_be_none(target: str, upstream: Upstream, model: Model, settings: Any) -> None:
    settings.ENCRYPTION_KEYS = [Fernet.generate_key().decode()]
    routing.forget()
    with pytest.raises(UnknownRoute):
        model(target).invoke("hi")
    assert upstream.requests() == []
