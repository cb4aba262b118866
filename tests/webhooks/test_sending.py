"""One delivery: signed, tried again, given up; never twice at once, and never lost."""

from __future__ import annotations

import json
import logging
import socket
import threading
import time
from datetime import timedelta
from email.utils import format_datetime
from typing import Any

import pytest
from django.db import connection
from django.utils import timezone

from accounts.audit import SYSTEM
from accounts.models import AuditEvent, User
from agents.webhooks import sending, services
from agents.webhooks.models import Delivery, DeliveryAttempt, Endpoint, TaskSecret
from agents.webhooks.services import IssuedSecret
from mutirao.embedded import free_port
from tests.foundation.receiver import saying
from tests.webhooks.conftest import Put, end, later, send_next
from tests.webhooks.inbox import Inbox
from tests.webhooks.test_signing import verify

pytestmark = pytest.mark.django_db(transaction=True)


def test_it_arrives_signed_under_its_own_id(registered: IssuedSecret, queued: Delivery, inbox: Inbox) -> None:
    assert send_next() == "delivered"
    (message,) = inbox.messages
    assert message.headers["webhook-id"] == str(queued.pk)
    assert message.headers["content-type"] == "application/json"
    assert abs(int(message.headers["webhook-timestamp"]) - time.time()) < 60
    assert verify(registered.secret, message.headers, message.body)
    assert message.body.decode() == queued.body
    queued.refresh_from_db()
    assert (queued.state, queued.fence, queued.last_status_code, queued.next_try_at) == ("delivered", 1, 200, None)
    attempt = DeliveryAttempt.objects.get()
    assert (attempt.number, attempt.status_code, attempt.error, attempt.excerpt) == (1, 200, "", "fine")
    assert send_next(later(days=9)) == ""


def test_it_is_tried_again_by_the_schedule_and_given_up_after_days(queued: Delivery, inbox: Inbox) -> None:
    inbox.say(*["500 Internal Server Error"] * 10)
    moments = []
    for _try in range(9):
        at = Delivery.objects.get().next_try_at
        assert at is not None
        assert send_next(at) == "failed"
        assert send_next() == ""
        moments.append(at)
        queued.refresh_from_db()
        assert queued.next_try_at is not None
        pause = (queued.next_try_at - timezone.now()).total_seconds()
        usual = sending.PAUSES[_try]
        assert usual - 5 <= pause <= usual * 1.1
    assert queued.next_try_at is not None
    # Days of nothing but failures end the endpoint too; here they have passed in no time.
    assert send_next(queued.next_try_at) == "dead"
    assert len({message.headers["webhook-id"] for message in inbox.messages}) == 1
    assert len({message.body for message in inbox.messages}) == 1
    assert [*DeliveryAttempt.objects.values_list("number", flat=True)] == [*range(1, 11)]
    assert send_next(later(days=30)) == ""


def test_a_failure_is_a_status_or_no_answer(queued: Delivery, inbox: Inbox, settings: Any) -> None:
    settings.WEBHOOK_SECONDS = 0.3
    inbox.say("302 Found", "404 Not Found", "503 Service Unavailable", headers=("Location: http://127.0.0.1/",))
    inbox.answers.append(lambda connection: time.sleep(1))
    inbox.answers.append(lambda connection: None)
    for _try in range(5):
        assert send_next(later(days=3)) == "failed"
    errors = [*DeliveryAttempt.objects.values_list("status_code", "error")]
    assert [code for code, _ in errors] == [302, 404, 503, None, None]
    assert "redirects are not followed" in errors[0][1]
    assert "in time" in errors[3][1]
    assert "broke" in errors[4][1]
    assert len(inbox.messages) == 5


def test_nobody_there_is_a_failure(queued: Delivery, endpoint: Endpoint) -> None:
    Endpoint.objects.update(url=f"http://127.0.0.1:{free_port()}/")
    assert send_next() == "failed"
    assert "No connection" in DeliveryAttempt.objects.get().error


@pytest.mark.parametrize("form", ["seconds", "date"])
def test_a_receiver_may_ask_for_patience(queued: Delivery, inbox: Inbox, form: str) -> None:
    wish = {"seconds": "7200", "date": format_datetime(later(seconds=7200), usegmt=True)}[form]
    inbox.say("503 Service Unavailable", headers=(f"Retry-After: {wish}",))
    assert send_next() == "failed"
    queued.refresh_from_db()
    assert queued.next_try_at is not None
    assert 7100 < (queued.next_try_at - timezone.now()).total_seconds() <= 7201


@pytest.mark.parametrize(
    ("wish", "seconds"), [("", None), ("soon", None), ("-5", None), ("0", 0), ("999999999", 86400), ("1.5", None)]
)
def test_wishes_are_understood_within_reason(wish: str, seconds: float | None) -> None:
    assert sending.retry_after({"retry-after": wish} if wish else {}, timezone.now()) == seconds
    assert sending.pause_after(1, seconds) >= 5


def test_a_receiver_that_is_gone_is_told_nothing_more(
    put: Put, queued: Delivery, endpoint: Endpoint, inbox: Inbox
) -> None:
    put()
    end()
    inbox.say("410 Gone")
    assert send_next() == "dead"
    endpoint.refresh_from_db()
    assert (endpoint.disabled_because, endpoint.disabled_at is not None) == ("gone", True)
    assert {each.state for each in Delivery.objects.all()} == {"dead"}
    entry = AuditEvent.objects.get(verb="webhook.disable")
    assert (entry.actor_name, entry.changes) == ("system", {"because": "gone"})
    put()
    end()
    assert Delivery.objects.count() == 2
    assert len(inbox.messages) == 1


def test_an_endpoint_that_only_fails_for_days_is_disabled(queued: Delivery, endpoint: Endpoint, inbox: Inbox) -> None:
    inbox.say("500 Oh", "500 Oh")
    assert send_next() == "failed"
    endpoint.refresh_from_db()
    assert endpoint.failing_since is not None
    Endpoint.objects.update(failing_since=timezone.now() - timedelta(days=6))
    assert send_next(later(days=1)) == "dead"
    endpoint.refresh_from_db()
    assert endpoint.disabled_because == "failing"
    assert AuditEvent.objects.filter(verb="webhook.disable").count() == 1


def test_one_success_clears_the_account(queued: Delivery, endpoint: Endpoint, inbox: Inbox) -> None:
    inbox.say("500 Oh")
    send_next()
    assert send_next(later(days=1)) == "delivered"
    endpoint.refresh_from_db()
    assert endpoint.failing_since is None


def test_two_senders_at_once_send_it_once(queued: Delivery, inbox: Inbox) -> None:
    start = threading.Barrier(4)
    taken: list[Any] = []

    def work() -> None:
        try:
            start.wait()
            if (found := sending.take()) is not None:
                taken.append(found)
                sending.deliver(found)
        finally:
            connection.close()

    threads = [threading.Thread(target=work) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(taken) == 1
    assert len(inbox.messages) == 1
    queued.refresh_from_db()
    assert (queued.state, queued.fence) == ("delivered", 1)


def test_a_sender_that_dies_is_followed_by_another_with_the_same_id(
    registered: IssuedSecret, queued: Delivery, inbox: Inbox
) -> None:
    first = sending.take()
    assert first is not None
    sending._send(first.delivery, timezone.now())
    # It dies here: sent, and not written.
    assert sending.take() is None
    second = sending.take(now=later(minutes=2))
    assert second is not None
    assert sending.deliver(second) == "delivered"
    assert [message.headers["webhook-id"] for message in inbox.messages] == [str(queued.pk)] * 2
    assert all(verify(registered.secret, message.headers, message.body) for message in inbox.messages)
    # Or it was only slow: what it writes now counts for nothing.
    assert sending.deliver(first) == ""
    queued.refresh_from_db()
    assert (queued.state, queued.fence, queued.attempts.count()) == ("delivered", 2, 1)


def test_where_a_name_leads_is_looked_at_each_time(
    queued: Delivery, inbox: Inbox, settings: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    settings.EGRESS_ALLOWED_HOSTS = []
    settings.EGRESS_ALLOW_HTTP = False
    Endpoint.objects.update(url="https://hooks.example/")
    monkeypatch.setattr(
        socket, "getaddrinfo", lambda *_args, **_kwargs: [(socket.AF_INET, 1, 6, "", ("169.254.169.254", 443))]
    )
    assert send_next() == "failed"
    assert "not a public address" in DeliveryAttempt.objects.get().error
    assert inbox.messages == []


def test_single_tasks_are_signed_with_their_owners_secret(put: Put, member: User, inbox: Inbox) -> None:
    issued = services.rotate_task_secret(owner=member, actor=SYSTEM)
    put(webhook_url=inbox.url)
    end()
    assert send_next() == "delivered"
    assert verify(issued.secret, inbox.messages[0].headers, inbox.messages[0].body)


def test_nothing_is_ever_sent_unsigned(put: Put, member: User, inbox: Inbox) -> None:
    put(webhook_url=inbox.url)
    end()
    assert send_next() == "delivered"
    secret = TaskSecret.objects.get(owner=member).secret
    assert verify(secret, inbox.messages[0].headers, inbox.messages[0].body)


def test_while_a_secret_is_rotated_both_sign(
    registered: IssuedSecret, endpoint: Endpoint, queued: Delivery, inbox: Inbox
) -> None:
    new = services.rotate_secret(endpoint=endpoint, actor=SYSTEM, overlap=timedelta(hours=1))
    send_next()
    Endpoint.objects.update(previous_until=timezone.now() - timedelta(seconds=1))
    services.replay(delivery=queued, actor=SYSTEM)
    send_next()
    during, after = inbox.messages
    assert verify(registered.secret, during.headers, during.body)
    assert verify(new.secret, during.headers, during.body)
    assert verify(new.secret, after.headers, after.body)
    assert not verify(registered.secret, after.headers, after.body)


def test_a_secret_that_no_key_opens_stops_no_task(
    put: Put, queued: Delivery, endpoint: Endpoint, settings: Any, inbox: Inbox
) -> None:
    settings.ENCRYPTION_KEYS = ["YW5vdGhlci1rZXktb2YtMzItYnl0ZXMtZm9yLXRlc3Q="]
    put()
    end()
    assert Delivery.objects.count() == 2
    assert send_next() == "failed"
    assert "MUTIRAO_ENCRYPTION_KEYS" in DeliveryAttempt.objects.get().error
    assert inbox.messages == []


def test_what_a_receiver_says_is_cut_and_masked(queued: Delivery, inbox: Inbox) -> None:
    said = b"password=hunter22 Bearer sk-abcdefghijklmnop123 \x00\x07" + b"x" * 100_000
    inbox.answers.append(saying("500 Oh", said))
    assert send_next() == "failed"
    excerpt = DeliveryAttempt.objects.get().excerpt
    assert len(excerpt) <= 500
    assert "hunter22" not in excerpt
    assert "sk-abcdefgh" not in excerpt
    assert "\x00" not in excerpt


def test_secrets_are_in_no_log_and_no_text(
    registered: IssuedSecret, queued: Delivery, inbox: Inbox, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.DEBUG)
    inbox.say("500 Oh")
    send_next()
    send_next(later(days=1))
    core = registered.secret.removeprefix("whsec_")
    signature = inbox.messages[0].headers["webhook-signature"]
    assert core not in caplog.text
    assert signature not in caplog.text
    rows = [json.dumps([*model.objects.values()], default=str) for model in (Delivery, DeliveryAttempt, AuditEvent)]
    assert not any(core in text for text in rows)
    with connection.cursor() as cursor:
        cursor.execute("SELECT secret FROM agents_webhooks_endpoint")
        stored = cursor.fetchone()[0]
    assert core not in stored
    assert "/hook" not in json.dumps([*AuditEvent.objects.values()], default=str)
