"""Webhooks over HTTP."""

from __future__ import annotations

from typing import Any

import pytest
from rest_framework.test import APIClient

from accounts.audit import SYSTEM
from accounts.issuing import issue_api_key
from accounts.models import User
from agents.webhooks.models import Delivery, Endpoint
from agents.webhooks.services import IssuedSecret
from tests.conftest import Api
from tests.webhooks.conftest import send_next
from tests.webhooks.inbox import Inbox

pytestmark = pytest.mark.django_db(transaction=True)
WEBHOOKS = "/api/v1/webhooks"
DELIVERIES = f"{WEBHOOKS}/deliveries"


def test_an_endpoint_is_registered_with_its_secret_once(api: Api, member: User, inbox: Inbox) -> None:
    client = api(member)
    made = client.post(WEBHOOKS, {"url": inbox.url, "description": "orders", "statuses": ["failed"]})
    assert (made.status_code, made["Cache-Control"]) == (201, "no-store")
    body = made.json()
    assert body["secret"].startswith("whsec_")
    assert (body["url"], body["statuses"], body["agent"], body["includes_result"]) == (
        inbox.url, ["failed"], None, True,
    )  # fmt: skip
    for address in (WEBHOOKS, made["Location"]):
        assert "secret" not in client.get(address).content.decode()
    assert Endpoint.objects.get().secret == body["secret"]


@pytest.mark.parametrize(
    ("body", "code"),
    [
        ({}, "invalid"),
        ({"url": "https://10.0.0.1/"}, "invalid-endpoint"),
        ({"url": "https://169.254.169.254/"}, "invalid-endpoint"),
        ({"url": "https://example.com", "statuses": []}, "invalid"),
        ({"url": "https://example.com", "statuses": ["queued"]}, "invalid"),
        ({"url": "https://example.com", "agent": "nobody"}, "unknown-agent"),
        ({"url": "https://example.com", "secret": "whsec_mine"}, "invalid"),
        ({"url": "https://example.com", "enabled": False}, "invalid"),
        ({"url": 7, "description": []}, "invalid"),
    ],
)
def test_what_is_wrong_is_a_problem(api: Api, member: User, body: dict[str, Any], code: str) -> None:
    refused = api(member).post(WEBHOOKS, body)
    assert (refused.status_code, refused.json()["type"]) == (400, f"urn:mutirao:{code}")
    assert Endpoint.objects.count() == 0


def test_an_endpoint_is_changed_turned_off_and_deleted(api: Api, member: User, endpoint: Endpoint, agent: Any) -> None:
    client, address = api(member), f"{WEBHOOKS}/{endpoint.pk}"
    changed = client.patch(address, {"agent": "helper", "includes_result": False, "description": "x"}).json()
    assert (changed["agent"], changed["includes_result"], changed["description"]) == ("helper", False, "x")
    assert client.patch(address, {"agent": None}).json()["agent"] is None
    assert client.patch(address, {"enabled": False}).json()["disabled_because"] == "owner"
    assert client.post(f"{address}/test").status_code == 409
    assert client.patch(address, {"enabled": True}).json()["disabled_at"] is None
    assert client.patch(address, {"url": "https://192.168.0.1/"}).status_code == 400
    assert client.delete(address).status_code == 204
    assert client.get(address).status_code == 404


def test_secrets_are_rotated(api: Api, member: User, registered: IssuedSecret, endpoint: Endpoint) -> None:
    client = api(member)
    rotated = client.post(f"{WEBHOOKS}/{endpoint.pk}/rotate", {"overlap_seconds": 3600})
    assert (rotated.status_code, rotated["Cache-Control"]) == (201, "no-store")
    endpoint.refresh_from_db()
    assert (endpoint.secret, endpoint.previous_secret) == (rotated.json()["secret"], registered.secret)
    assert client.post(f"{WEBHOOKS}/{endpoint.pk}/rotate", {"overlap_seconds": 10**9}).status_code == 400
    first = client.post(f"{WEBHOOKS}/task-secret").json()["secret"]
    assert first != client.post(f"{WEBHOOKS}/task-secret").json()["secret"]


def test_a_delivery_is_read_with_its_tries_and_replayed(api: Api, member: User, queued: Delivery, inbox: Inbox) -> None:
    client = api(member)
    assert client.post(f"{DELIVERIES}/{queued.pk}/replay").status_code == 409
    inbox.say("500 Oh", body=b"no")
    send_next()
    (listed,) = client.get(f"{DELIVERIES}?state=failed").json()["results"]
    assert (listed["id"], listed["tries"], listed["last_status_code"]) == (str(queued.pk), 1, 500)
    assert "body" not in listed
    assert client.get(f"{DELIVERIES}?state=dead").json()["results"] == []
    shown = client.get(f"{DELIVERIES}/{queued.pk}").json()
    assert shown["body"] == queued.body
    assert [(each["number"], each["status_code"], each["excerpt"]) for each in shown["attempts"]] == [(1, 500, "no")]
    again = client.post(f"{DELIVERIES}/{queued.pk}/replay")
    assert (again.status_code, again.json()["state"]) == (202, "pending")
    assert send_next() == "delivered"


def test_others_see_no_whole_address_and_change_nothing(
    api: Api, operator: User, outsider: User, queued: Delivery, endpoint: Endpoint, inbox: Inbox
) -> None:
    client = api(operator)
    assert client.get(f"{WEBHOOKS}/{endpoint.pk}").json()["url"].endswith("/…")
    assert "/hook" not in client.get(WEBHOOKS).content.decode()
    assert "/hook" not in client.get(f"{DELIVERIES}/{queued.pk}").json()["url"]
    for refused in (
        client.patch(f"{WEBHOOKS}/{endpoint.pk}", {"url": inbox.url}),
        client.delete(f"{WEBHOOKS}/{endpoint.pk}"),
        client.post(f"{WEBHOOKS}/{endpoint.pk}/rotate"),
        client.post(f"{WEBHOOKS}/{endpoint.pk}/test"),
    ):
        assert refused.status_code == 404
    send_next()
    assert client.post(f"{DELIVERIES}/{queued.pk}/replay").status_code == 202
    stranger = api(outsider)
    for address in (f"{WEBHOOKS}/{endpoint.pk}", f"{DELIVERIES}/{queued.pk}"):
        assert stranger.get(address).status_code == 404
    assert stranger.get(WEBHOOKS).json()["results"] == stranger.get(DELIVERIES).json()["results"] == []


def test_a_key_needs_the_scope(member: User, queued: Delivery, endpoint: Endpoint) -> None:
    def status(scope: str, method: str, address: str) -> int:
        issued = issue_api_key(owner=member, name=f"{scope} {method} {address}", scopes=[scope], actor=SYSTEM)
        client = APIClient(HTTP_AUTHORIZATION=f"Bearer {issued.key}")
        return int(getattr(client, method)(address).status_code)

    for address in (WEBHOOKS, DELIVERIES):
        assert status("webhooks:read", "get", address) == 200
        assert status("tasks:read", "get", address) == 403
    assert status("webhooks:read", "post", f"{WEBHOOKS}/{endpoint.pk}/test") == 403
    assert status("webhooks:write", "post", f"{WEBHOOKS}/{endpoint.pk}/test") == 202


@pytest.mark.parametrize("url", ["https://127.0.0.2/", "http://example.com/", "https://user:x@example.com/"])
def test_a_task_cannot_name_an_address_inside(api: Api, member: User, agent: Any, settings: Any, url: str) -> None:
    settings.EGRESS_ALLOW_HTTP = False
    refused = api(member).post("/api/v1/tasks", {"agent": "helper", "input": "hi", "webhook_url": url})
    assert (refused.status_code, refused.json()["type"]) == (400, "urn:mutirao:invalid-input")


def test_lists_cost_the_same_for_one_and_for_many(
    api: Api, member: User, inbox: Inbox, queued: Delivery, django_assert_max_num_queries: Any
) -> None:
    client = api(member)
    for _ in range(15):
        Endpoint.objects.create(owner=member, url=inbox.url, secret="whsec_AAAA")
        Delivery.objects.create(owner=member, url=inbox.url, host="h", body="{}", event="webhook.test")
    for address in (WEBHOOKS, DELIVERIES):
        with django_assert_max_num_queries(4):
            assert len(client.get(address).json()["results"]) == 16
