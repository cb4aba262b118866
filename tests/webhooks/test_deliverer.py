"""The senders of a worker: beside each other, and not one receiver at the cost of all."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterator
from typing import Any

import pytest

from accounts.audit import SYSTEM
from accounts.models import User
from agents.webhooks import outbox, services
from agents.webhooks.deliverer import Deliverer
from agents.webhooks.models import Delivery
from agents.webhooks.services import Wishes
from tests.foundation.receiver import saying
from tests.webhooks.conftest import Put, end
from tests.webhooks.inbox import Inbox

pytestmark = pytest.mark.django_db(transaction=True)


def wait(condition: Callable[[], Any], *, within: float = 15) -> None:
    deadline = time.monotonic() + within
    while not condition():
        assert time.monotonic() < deadline
        time.sleep(0.02)


@pytest.fixture
def deliverer(settings: Any) -> Iterator[Deliverer]:
    """Running, and looking by itself only once in a long while."""
    settings.WEBHOOK_POLL_SECONDS = 60
    made = Deliverer()
    outbox.on_queued(made.wake)
    yield made
    made.stop()
    assert made.wait_until_idle(within=15)
    wait(lambda: not [each for each in threading.enumerate() if each.name in ("webhooks", "webhook")])


def test_what_was_due_before_it_began_is_sent(put: Put, queued: Delivery, inbox: Inbox, deliverer: Deliverer) -> None:
    deliverer.start()
    wait(lambda: Delivery.objects.filter(state="delivered").count() == 1)
    assert len(inbox.messages) == 1


def test_what_is_queued_is_sent_at_once(put: Put, registered: Any, inbox: Inbox, deliverer: Deliverer) -> None:
    deliverer.start()
    for _ in range(6):
        put()
        end()
    wait(lambda: Delivery.objects.filter(state="delivered").count() == 6)
    assert len({message.headers["webhook-id"] for message in inbox.messages}) == 6


def test_what_nobody_announced_is_found(
    put: Put, queued: Delivery, inbox: Inbox, deliverer: Deliverer, settings: Any
) -> None:
    """As for a task that another process has ended."""
    settings.WEBHOOK_POLL_SECONDS = 0.1
    Delivery.objects.update(next_try_at="2999-01-01T00:00:00Z")
    deliverer.start()
    Delivery.objects.update(next_try_at="2020-01-01T00:00:00Z")
    wait(lambda: Delivery.objects.filter(state="delivered").count() == 1)


def test_a_slow_receiver_leaves_room_for_others(
    put: Put, member: User, registered: Any, inbox: Inbox, deliverer: Deliverer, settings: Any
) -> None:
    settings.EGRESS_ALLOWED_HOSTS = ["127.0.0.0/8", "localhost"]
    quick = Inbox()
    release = threading.Event()

    def slow(connection: Any) -> None:
        release.wait(20)
        saying()(connection)

    inbox.answers.extend([slow] * 20)
    for _ in range(8):
        put()
        end()
    deliverer.start()
    try:
        wait(lambda: Delivery.objects.filter(state="delivering").count() == 2)
        services.register_endpoint(
            owner=member, wishes=Wishes(quick.url.replace("127.0.0.1", "localhost")), actor=SYSTEM
        )
        put()
        end()
        wait(lambda: len(quick.messages) == 1)
        assert Delivery.objects.filter(state="delivering", host="127.0.0.1").count() == 2
        assert Delivery.objects.filter(state="delivered", host="127.0.0.1").count() == 0
    finally:
        release.set()
        quick.close()
    wait(lambda: Delivery.objects.filter(state="delivered").count() == 10)


def test_what_cannot_be_written_is_sent_again_and_stops_nobody(
    put: Put, queued: Delivery, inbox: Inbox, deliverer: Deliverer, monkeypatch: pytest.MonkeyPatch
) -> None:
    from agents.webhooks import sending

    real = sending._write
    failed: list[int] = []

    def write(*arguments: Any) -> str:
        if not failed:
            failed.append(1)
            raise RuntimeError
        return real(*arguments)

    monkeypatch.setattr(sending, "_write", write)
    deliverer.start()
    wait(lambda: failed)
    put()
    end()
    wait(lambda: Delivery.objects.filter(state="delivered").count() == 1)
    Delivery.objects.filter(state="delivering").update(lease_expires_at="2020-01-01T00:00:00Z")
    deliverer.wake()
    wait(lambda: Delivery.objects.filter(state="delivered").count() == 2)
    assert len(inbox.messages) == 3
