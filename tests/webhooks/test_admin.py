"""Webhooks in the admin."""

from __future__ import annotations

import pytest
from django.contrib.auth.models import Permission
from django.test import Client
from django.urls import reverse

from accounts.models import AuditEvent, User
from agents.webhooks.models import Delivery, Endpoint
from agents.webhooks.services import IssuedSecret
from tests.webhooks.conftest import send_next
from tests.webhooks.inbox import Inbox

pytestmark = pytest.mark.django_db(transaction=True)
DELIVERIES, ENDPOINTS = "admin:agents_webhooks_delivery", "admin:agents_webhooks_endpoint"


def test_an_operator_sees_how_it_goes_and_no_secret(
    client: Client, operator: User, registered: IssuedSecret, queued: Delivery, endpoint: Endpoint, inbox: Inbox
) -> None:
    inbox.say("500 Oh", body=b"no such order")
    send_next()
    client.force_login(operator)
    pages = [client.get(reverse(f"{name}_changelist")).content.decode() for name in (DELIVERIES, ENDPOINTS)]
    pages += [
        client.get(reverse(f"{DELIVERIES}_change", args=[queued.pk])).content.decode(),
        client.get(reverse(f"{ENDPOINTS}_change", args=[endpoint.pk])).content.decode(),
    ]
    assert "failed, tried again later" in pages[0]
    assert "no such order" in pages[2]
    assert "HTTP 500" in pages[2]
    for page in pages:
        assert registered.secret.removeprefix("whsec_") not in page
        assert "/hook" not in page
        assert "127.0.0.1" in page
    searched = client.get(reverse(f"{DELIVERIES}_changelist"), {"q": str(queued.task_id)}).content.decode()
    assert str(queued.pk)[-8:] in searched
    assert client.get(reverse(f"{DELIVERIES}_changelist"), {"q": "no id at all"}).status_code == 200


def test_a_replay_asks_first_and_is_on_record(client: Client, operator: User, queued: Delivery, inbox: Inbox) -> None:
    send_next()
    client.force_login(operator)
    chosen = {"action": "replay_deliveries", "_selected_action": [str(queued.pk)]}
    assert "Replay these deliveries?" in client.post(reverse(f"{DELIVERIES}_changelist"), chosen).content.decode()
    queued.refresh_from_db()
    assert queued.state == "delivered"
    client.post(reverse(f"{DELIVERIES}_changelist"), chosen | {"confirmed": "yes"})
    queued.refresh_from_db()
    assert queued.state == "pending"
    entry = AuditEvent.objects.get(verb="webhook.replay")
    assert (entry.actor_id, entry.subject_id) == (operator.pk, queued.pk)
    done = client.post(reverse(f"{DELIVERIES}_changelist"), chosen | {"confirmed": "yes"}, follow=True)
    assert "on its way" in done.content.decode()


def test_viewing_is_not_replaying(client: Client, db: None, queued: Delivery, inbox: Inbox) -> None:
    send_next()
    viewer = User.objects.create_user(username="viewer", is_staff=True)
    viewer.user_permissions.set(Permission.objects.filter(codename="view_delivery"))
    client.force_login(viewer)
    chosen = {"action": "replay_deliveries", "_selected_action": [str(queued.pk)], "confirmed": "yes"}
    client.post(reverse(f"{DELIVERIES}_changelist"), chosen)
    queued.refresh_from_db()
    assert queued.state == "delivered"
