"""A whole platform tells a receiver, also when its worker is killed while it does."""

from __future__ import annotations

import json
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.e2e.conftest import ENVIRON, IMPATIENT, back_end
from tests.foundation.receiver import saying
from tests.site import Site, running
from tests.webhooks.inbox import Inbox
from tests.webhooks.test_signing import verify

WEBHOOKS = "/api/v1/webhooks"
OPEN = {
    "MUTIRAO_EGRESS_ALLOWED_HOSTS": "127.0.0.1", "MUTIRAO_EGRESS_ALLOW_HTTP": "1", "MUTIRAO_WEBHOOK_SECONDS": "3",
    "MUTIRAO_WEBHOOK_POLL_SECONDS": "0.5",
}  # fmt: skip


@pytest.fixture
def telling_site(tmp_path: Path) -> Iterator[Site]:
    """A platform that may tell this machine, and that a test may kill."""
    with back_end() as environ, running(tmp_path, **environ, **ENVIRON, **IMPATIENT, **OPEN) as site:
        site.make_key()
        yield site


@pytest.fixture
def inbox() -> Iterator[Inbox]:
    """A receiver."""
    made = Inbox()
    yield made
    made.close()


def _deliveries(site: Site, state: str) -> list[dict[str, Any]]:
    return list(site.request("GET", f"{WEBHOOKS}/deliveries?state={state}")[1]["results"])


@pytest.mark.once
def test_a_receiver_is_told_and_told_again_when_the_worker_is_killed(telling_site: Site, inbox: Inbox) -> None:
    site = telling_site
    status, endpoint = site.request("POST", WEBHOOKS, {"url": inbox.url})
    assert status == 201, endpoint
    # What other processes remember of who has endpoints is a second old at most.
    task = {"agent": "one-node", "input": {"value": 1}}

    def is_told() -> bool:
        status, _ = site.request("POST", "/api/v1/tasks", task, Prefer="wait=10")
        return status == 200 and bool(inbox.messages)

    site.wait(is_told)
    message = inbox.messages[0]
    assert verify(endpoint["secret"], message.headers, message.body)
    assert json.loads(message.body)["data"]["result"] == {"value": 2}
    site.wait(lambda: not _deliveries(site, "pending") and not _deliveries(site, "delivering"))

    # The worker dies while the receiver thinks: nobody knows whether it has arrived.
    thinking, go_on = threading.Event(), threading.Event()

    def think(connection: Any) -> None:
        thinking.set()
        go_on.wait(60)
        saying()(connection)

    before = len(inbox.messages)
    inbox.answers.append(think)
    site.request("POST", "/api/v1/tasks", task, Prefer="wait=10")
    assert thinking.wait(20)
    site.child("worker").kill()
    go_on.set()
    site.wait(lambda: len(inbox.messages) == before + 2, within=60)
    first, second = inbox.messages[before:]
    assert first.headers["webhook-id"] == second.headers["webhook-id"]
    assert first.body == second.body
    assert verify(endpoint["secret"], second.headers, second.body)
    site.wait(lambda: not _deliveries(site, "delivering"))
    (found,) = [each for each in _deliveries(site, "delivered") if each["id"] == second.headers["webhook-id"]]
    assert found["tries"] == 2


@pytest.mark.once
def test_a_cancel_in_the_web_process_is_told_by_a_worker(telling_site: Site, inbox: Inbox) -> None:
    site = telling_site
    later = {"agent": "one-node", "input": {"value": 1}, "not_before": "2999-01-01T00:00:00Z", "webhook_url": inbox.url}
    status, task = site.request("POST", "/api/v1/tasks", later)
    assert status == 202, task
    status, secret = site.request("POST", f"{WEBHOOKS}/task-secret")
    assert status == 201, secret
    site.request("POST", f"/api/v1/tasks/{task['id']}/cancel")
    site.wait(lambda: inbox.messages)
    (message,) = inbox.messages
    assert verify(secret["secret"], message.headers, message.body)
    assert json.loads(message.body)["data"]["status"] == "cancelled"
