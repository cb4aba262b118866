"""Breakers of models that are named without a deployment: there is no list of them, and their names have slashes."""

from __future__ import annotations

import uuid
from collections.abc import Iterator
from datetime import timedelta

import pytest
from django.test import Client
from django.urls import reverse
from django.utils import timezone

from accounts.models import User
from agents.circuits import protection
from agents.circuits.models import CircuitChange, ForcedCircuit
from agents.circuits.pruning import old_changes
from tests.circuits.conftest import break_circuit
from tests.conftest import Api

pytestmark = pytest.mark.django_db
API = "/api/v1/circuits"
LIST = "/admin/agents_circuits/circuitchange/"


@pytest.fixture
def slashed() -> Iterator[str]:
    """The key of a model with a slash in its name, whose breaker has opened."""
    key = f"model:openrouter:meta-llama/llama-{uuid.uuid4()}"
    break_circuit(key)
    yield key
    protection.circuits().reset(key)
    protection.forget()


@pytest.fixture
def pruned() -> Iterator[str]:
    """The key of a model that is held open for so long that nothing else is known of it."""
    key = f"model:openai:gpt-{uuid.uuid4()}"
    CircuitChange.objects.create(
        key=key, before="closed", after="open", at=timezone.now() - timedelta(days=400), why="bill not paid"
    )
    ForcedCircuit.objects.create(key=key, state="open", reason="bill not paid")
    old_changes(timezone.now() - timedelta(days=90)).delete()
    protection.forget()
    yield key
    protection.circuits().reset(key)
    protection.forget()


def test_the_admin_lists_and_shows_one_with_a_slash(client: Client, admin: User, slashed: str) -> None:
    client.force_login(admin)
    page = reverse("admin:agents_circuits_circuit", args=[slashed])
    listed = client.get(LIST)
    assert listed.status_code == 200
    assert f'href="{page}"' in listed.content.decode()
    assert "connection refused" in client.get(page).content.decode()
    assert client.post(page, {"state": "closed", "confirmed": "yes"}).headers["Location"] == page
    assert ForcedCircuit.objects.get().key == slashed


def test_the_api_has_every_address_of_one_with_a_slash(api: Api, operator: User, slashed: str) -> None:
    client = api(operator)
    assert client.get(f"{API}/{slashed}").json()["state"] == "open"
    assert [each["after"] for each in client.get(f"{API}/{slashed}/changes").json()["results"]] == ["open"]
    assert client.post(f"{API}/{slashed}/force", {"state": "closed"}, format="json").json()["forced"] == "closed"
    assert client.post(f"{API}/{slashed}/release").json()["forced"] == ""
    assert client.get(f"{API}/{slashed.replace('/', '%2F')}").json()["key"] == slashed


def test_one_that_is_held_is_released_though_its_changes_are_pruned(api: Api, operator: User, pruned: str) -> None:
    client = api(operator)
    held = next(each for each in client.get(API).json() if each["key"] == pruned)
    assert (held["forced"], held["forced_reason"]) == ("open", "bill not paid")
    released = client.post(f"{API}/{pruned}/release")
    assert (released.status_code, released.json()["state"], released.json()["forced"]) == (200, "closed", "")
    protection.permit(pruned).succeeded()


def test_the_admin_releases_it_and_goes_to_the_list_when_nothing_is_known_of_it(
    client: Client, admin: User, pruned: str
) -> None:
    client.force_login(admin)
    page = reverse("admin:agents_circuits_circuit", args=[pruned])
    assert page in client.get(LIST).content.decode()
    assert "bill not paid" in client.get(page).content.decode()
    released = client.post(page, {"state": "release", "confirmed": "yes"}, follow=True)
    assert released.redirect_chain == [(LIST, 302)]
    assert "The circuit breaker decides by itself again." in released.content.decode()
    assert ForcedCircuit.objects.count() == 0


def test_they_are_found_with_one_query_a_kind(slashed: str, pruned: str, django_assert_num_queries: object) -> None:
    from agents.gateway.circuits import models

    with django_assert_num_queries(1):  # type: ignore[operator]
        assert {slashed, pruned} <= set(models())
