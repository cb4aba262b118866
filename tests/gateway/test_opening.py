"""A secret that no key opens, and a database that is away, take nothing else along."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any

import pytest
from cryptography.fernet import Fernet
from django.db import DatabaseError, InterfaceError
from structlog.testing import capture_logs

from accounts.audit import SYSTEM
from agents.gateway import prices, routing
from agents.gateway.exceptions import UnknownRoute
from agents.gateway.models import Credential
from agents.gateway.services import change_credential, set_secret
from agents.gateway.trying import try_deployment
from tests.gateway.conftest import Model
from tests.gateway.routes import deployment, route
from tests.upstream.client import Upstream

pytestmark = pytest.mark.django_db(transaction=True)


@pytest.fixture(autouse=True)
def _told_anew() -> None:
    routing._is_news.forget()


def _lost(settings: Any, name: str) -> Any:
    """A deployment whose secret was sealed under a key that is gone."""
    keys = settings.ENCRYPTION_KEYS
    settings.ENCRYPTION_KEYS = [Fernet.generate_key().decode()]
    row = deployment(name, url="https://8.8.8.8/v1")
    settings.ENCRYPTION_KEYS = keys
    return row


def test_a_secret_that_cannot_be_opened_is_left_out_and_told_of(
    upstream: Upstream, model: Model, settings: Any
) -> None:
    lost, well = _lost(settings, "lost"), deployment("well")
    with capture_logs() as lines:
        target = route("main", lost, well)
        assert model(target).invoke("hi").text
        assert model(route("other", well)).invoke("hi").text
        routing.forget()
        routing.find(target)
    assert [each.name for each in routing.find(target).deployments] == ["well"]
    told = [line for line in lines if line["event"] == "credential_not_opened"]
    assert [line["credential"] for line in told] == ["lost-key"]


def test_a_route_of_nothing_else_says_that_it_leads_nowhere(model: Model, settings: Any) -> None:
    with pytest.raises(UnknownRoute, match="main"):
        model(route("main", _lost(settings, "lost"))).invoke("hi")


def test_it_is_given_another(settings: Any) -> None:
    rows = [_lost(settings, name) for name in ("first", "second")]
    first, second = (Credential.objects.defer("secret").get(pk=row.credential_id) for row in rows)
    set_secret(credential=first, secret="another-secret-1", actor=SYSTEM)
    change_credential(credential=second, actor=SYSTEM, changes={"base_url": "https://8.8.4.4/v1"})
    target = route("main", *rows)
    found = [each.credential for each in routing.find(target).deployments]
    assert [each.secret for each in found if each] == ["another-secret-1", ""]


def test_trying_it_says_why(settings: Any) -> None:
    lost = _lost(settings, "lost")
    row = type(lost).objects.select_related("credential").defer("credential__secret").get()
    result = try_deployment(row, SYSTEM)
    assert (result.is_ok, result.error_type) == (False, "CannotDecrypt")


@pytest.mark.parametrize("error", [DatabaseError, InterfaceError])
def test_what_is_known_outlasts_a_database_that_is_away(
    error: type[Exception], monkeypatch: pytest.MonkeyPatch, settings: Any
) -> None:
    settings.ROUTE_CACHE_SECONDS = 0
    target = route("main", deployment("only"))
    known = routing.find(target)

    def away(*_given: object) -> Any:
        raise error

    monkeypatch.setattr(routing, "_routes", away)
    monkeypatch.setattr(prices, "_read", away)
    assert routing.find(target) == known
    assert prices.price_of("openai", "unheard-of", datetime.now(UTC)) is None
