"""The pages of webhooks."""

from __future__ import annotations

import re
from typing import Any

import pytest
from django.test import Client

from accounts.models import AuditEvent, User
from agents.webhooks.models import Delivery, Endpoint, TaskSecret
from tests.webhooks.conftest import Put, end, later, send_next
from tests.webhooks.inbox import Inbox

pytestmark = pytest.mark.django_db(transaction=True)
GIVEN = {"statuses": ["succeeded", "failed"], "includes_result": "on", "description": "orders"}


@pytest.fixture
def page(client: Client, member: User) -> Client:
    """The member is signed in."""
    client.force_login(member)
    return client


def shown_secret(response: Any) -> str:
    found = re.findall(r"whsec_[A-Za-z0-9+/=]+", response.content.decode())
    assert len(found) <= 1
    return found[0] if found else ""


def test_without_an_endpoint_the_page_offers_to_register_one(page: Client) -> None:
    text = page.get("/webhooks/").content.decode()
    assert "You have no endpoint" in text
    assert 'href="/webhooks/new/"' in text


def test_a_new_endpoint_shows_its_secret_once(page: Client, inbox: Inbox) -> None:
    response = page.post("/webhooks/new/", GIVEN | {"url": inbox.url})
    assert (response.status_code, response.headers["Cache-Control"]) == (200, "no-store")
    row = Endpoint.objects.get()
    assert shown_secret(response) == row.secret
    assert (row.statuses, row.includes_result, row.agent, row.description) == (
        ["succeeded", "failed"], True, None, "orders",
    )  # fmt: skip
    for address in ("/webhooks/", f"/webhooks/{row.pk}/", f"/webhooks/{row.pk}/rotate/"):
        assert shown_secret(page.get(address)) == ""


@pytest.mark.parametrize(
    "wrong", [{"url": ""}, {"url": "https://10.0.0.1/"}, {"url": "nonsense"}, {"statuses": []}, {"agent": "1"}]
)
def test_what_is_wrong_is_said_beside_the_field(page: Client, inbox: Inbox, wrong: dict[str, Any]) -> None:
    response = page.post("/webhooks/new/", GIVEN | {"url": inbox.url} | wrong)
    assert 'role="alert"' in response.content.decode()
    assert not Endpoint.objects.exists()


def test_an_endpoint_is_changed_turned_off_and_on_and_deleted(page: Client, endpoint: Endpoint) -> None:
    address = f"/webhooks/{endpoint.pk}/"
    assert page.post(address, GIVEN | {"url": endpoint.url, "includes_result": ""}).status_code == 302
    endpoint.refresh_from_db()
    assert (endpoint.description, endpoint.includes_result) == ("orders", False)
    page.post(f"{address}switch/", {"off": "1"})
    assert "Disabled" in page.get(address).content.decode()
    page.post(f"{address}switch/", {"on": "1"})
    endpoint.refresh_from_db()
    assert endpoint.disabled_at is None
    assert "cannot be undone" in page.get(f"{address}delete/").content.decode()
    assert Endpoint.objects.count() == 1
    page.post(f"{address}delete/")
    assert Endpoint.objects.count() == 0


def test_rotating_shows_the_new_secret_once(page: Client, endpoint: Endpoint) -> None:
    old = endpoint.secret
    response = page.post(f"/webhooks/{endpoint.pk}/rotate/", {"overlap": "3600"})
    endpoint.refresh_from_db()
    assert shown_secret(response) == endpoint.secret != old
    assert "signs beside the new one" in page.get(f"/webhooks/{endpoint.pk}/").content.decode()
    assert shown_secret(page.post("/webhooks/task-secret/", {"overlap": "0"})) == TaskSecret.objects.get().secret


def test_a_test_leads_to_its_delivery_which_is_watched_until_it_is_over(
    page: Client, endpoint: Endpoint, inbox: Inbox
) -> None:
    answer = page.post(f"/webhooks/{endpoint.pk}/test/", follow=True)
    delivery = Delivery.objects.get()
    text = answer.content.decode()
    live = f"/webhooks/deliveries/{delivery.pk}/live/"
    assert live in text
    assert send_next() == "delivered"
    after = page.get(live).content.decode()
    assert live not in after
    assert "fine" in after


def test_a_delivery_is_shown_and_replayed(page: Client, queued: Delivery, inbox: Inbox) -> None:
    inbox.say("500 Oh", body=b"<script>alert(1)</script>")
    send_next()
    address = f"/webhooks/deliveries/{queued.pk}/"
    text = page.get(address).content.decode()
    assert "<script>alert" not in text
    assert "&lt;script&gt;alert" in text
    assert "HTTP 500" in text
    page.post(f"{address}replay/")
    assert send_next() == "delivered"
    assert AuditEvent.objects.filter(verb="webhook.replay").count() == 1
    assert page.get(f"{address}replay/").status_code == 405


def test_the_webhooks_of_others_are_not_there(
    page: Client, queued: Delivery, endpoint: Endpoint, outsider: User, operator: User, inbox: Inbox
) -> None:
    send_next()
    client = Client()
    client.force_login(outsider)
    assert "127.0.0.1" not in client.get("/webhooks/").content.decode()
    for verb in ("", "rotate/", "delete/"):
        assert client.get(f"/webhooks/{endpoint.pk}/{verb}").status_code == 404
        assert client.post(f"/webhooks/{endpoint.pk}/{verb}", {"overlap": "0"}).status_code == 404
    for verb in ("test/", "switch/"):
        assert client.post(f"/webhooks/{endpoint.pk}/{verb}").status_code == 404
    assert client.get(f"/webhooks/deliveries/{queued.pk}/").status_code == 404
    assert client.post(f"/webhooks/deliveries/{queued.pk}/replay/").status_code == 404
    client.force_login(operator)
    text = client.get(f"/webhooks/deliveries/{queued.pk}/").content.decode()
    assert "/hook" not in text
    assert client.post(f"/webhooks/deliveries/{queued.pk}/replay/").status_code == 302
    assert client.get(f"/webhooks/{endpoint.pk}/").status_code == 404


def test_nobody_comes_in_unasked(client: Client, endpoint: Endpoint) -> None:
    for address in ("/webhooks/", "/webhooks/new/", f"/webhooks/{endpoint.pk}/", "/webhooks/task-secret/"):
        assert client.get(address).headers["Location"] == f"/account/login/?next={address}"


def test_the_list_costs_the_same_for_one_and_for_many(
    page: Client, put: Put, endpoint: Endpoint, member: User, inbox: Inbox, django_assert_max_num_queries: Any
) -> None:
    for count in (1, 10):
        for _ in range(count):
            Endpoint.objects.create(owner=member, url=inbox.url, secret="whsec_AAAA", agent=put().agent_version.agent)
            end()
        with django_assert_max_num_queries(7):
            assert page.get("/webhooks/").status_code == 200
    assert send_next(later(seconds=1)) == "delivered"
