"""Who is told of what, and that it is written together with the end of the task or not at all."""

from __future__ import annotations

import json
import time
from typing import Any

import pytest
from django.db import transaction

from accounts.audit import SYSTEM
from accounts.models import User
from agents.definitions.services import create_agent
from agents.tasks import services as tasks
from agents.tasks.hooks import Ties
from agents.tasks.models import Task
from agents.webhooks import outbox, services
from agents.webhooks.models import Delivery, Endpoint
from agents.webhooks.services import Wishes
from tests.webhooks.conftest import Put, end, take_task
from tests.webhooks.inbox import Inbox

pytestmark = pytest.mark.django_db(transaction=True)


@pytest.mark.parametrize("status", ["succeeded", "failed", "cancelled"])
def test_every_end_is_told(put: Put, endpoint: Endpoint, status: str) -> None:
    task = put(metadata={"order": "7"})
    end(status)
    delivery = Delivery.objects.get()
    assert (delivery.endpoint, delivery.task, delivery.owner) == (endpoint, task, task.owner)
    assert (delivery.state, delivery.host, delivery.url) == ("pending", "127.0.0.1", endpoint.url)
    said = json.loads(delivery.body)
    assert said["type"] == "task.finished"
    data = said["data"]
    assert (data["id"], data["agent"], data["status"]) == (str(task.pk), "helper", status)
    assert data["metadata"] == {"order": "7"}
    assert data["url"].endswith(f"/api/v1/tasks/{task.pk}")
    assert data["result"] == ({"text": "done"} if status == "succeeded" else None)
    assert data["error"] == ({"type": "Broken", "message": "It broke."} if status == "failed" else None)
    assert set(data["usage"]) == {"input_tokens", "output_tokens", "cost"}


def test_a_queued_task_that_is_cancelled_is_told_too(put: Put, endpoint: Endpoint) -> None:
    tasks.cancel(task=put(), actor=SYSTEM)
    assert json.loads(Delivery.objects.get().body)["data"]["status"] == "cancelled"


def test_an_endpoint_hears_what_it_asked_for_and_no_more(put: Put, member: User, outsider: User, inbox: Inbox) -> None:
    other = create_agent(slug="other")
    made = {
        name: services.register_endpoint(owner=owner, wishes=Wishes(inbox.url, **wishes), actor=SYSTEM).row
        for name, owner, wishes in (
            ("failures", member, {"statuses": ("failed",)}),
            ("others", member, {"agent": other}),
            ("everything", member, {}),
            ("of another", outsider, {}),
            ("disabled", member, {}),
        )
    }
    disabled = made["disabled"]
    assert isinstance(disabled, Endpoint)
    services.disable_endpoint(endpoint=disabled, actor=SYSTEM)
    put()
    end()
    assert [each.endpoint for each in Delivery.objects.all()] == [made["everything"]]
    put()
    end("failed")
    told = [each.endpoint for each in Delivery.objects.order_by("created_at", "id")]
    assert {each.pk for each in told[1:] if each} == {made["everything"].pk, made["failures"].pk}


def test_a_task_with_an_address_of_its_own_tells_it(put: Put, inbox: Inbox) -> None:
    put(webhook_url=inbox.url + "?for=this")
    put()
    end()
    end()
    delivery = Delivery.objects.get()
    assert (delivery.endpoint, delivery.url) == (None, inbox.url + "?for=this")


def test_a_result_that_is_large_or_unwanted_is_left_out(put: Put, endpoint: Endpoint, member: User) -> None:
    put()
    end(result={"text": "x" * 70_000})
    data = json.loads(Delivery.objects.get().body)["data"]
    assert (data["result"], data["result_included"]) == (None, False)
    Delivery.objects.all().delete()
    services.change_endpoint(endpoint=endpoint, wishes=Wishes(endpoint.url, includes_result=False), actor=SYSTEM)
    put()
    end(result={"text": "for my eyes only"})
    body = Delivery.objects.get().body
    assert "for my eyes only" not in body
    assert json.loads(body)["data"]["result_included"] is False


def test_who_may_not_sign_in_any_more_is_told_nothing(put: Put, endpoint: Endpoint, member: User) -> None:
    put()
    member.is_active = False
    member.save()
    end()
    assert Delivery.objects.count() == 0


@pytest.mark.parametrize("text", ["ção 漢字 🙂", "</script>", "\u2028"])
def test_whatever_a_result_holds_it_can_be_told(put: Put, endpoint: Endpoint, text: str) -> None:
    put()
    end(result={"text": text})
    body = Delivery.objects.get().body
    assert body.isascii()
    assert json.loads(body)["data"]["result"] == {"text": text}


def test_an_end_that_is_undone_tells_nobody(put: Put, endpoint: Endpoint) -> None:
    task = put()
    held = take_task()
    with transaction.atomic():
        tasks.succeed(claim=held, result={"text": "done"})
        assert Delivery.objects.count() == 1
        transaction.set_rollback(True)
    assert Delivery.objects.count() == 0
    assert Task.objects.get(pk=task.pk).status == "running"


def test_an_end_without_its_deliveries_does_not_happen(
    put: Put, endpoint: Endpoint, monkeypatch: pytest.MonkeyPatch
) -> None:
    task = put()

    def fail(*_args: Any, **_kwargs: Any) -> None:
        raise RuntimeError

    monkeypatch.setattr(outbox, "finished_message", fail)
    with pytest.raises(RuntimeError):
        end()
    assert Task.objects.get(pk=task.pk).status == "running"


def test_whoever_has_no_endpoint_pays_nothing(
    put: Put, registered: Any, outsider: User, django_assert_num_queries: Any
) -> None:
    ties = Ties(None, "", outsider.pk)
    assert not outbox.wants(ties)
    with django_assert_num_queries(0):
        assert not any(outbox.wants(ties) for _ in range(1000))
    assert outbox.wants(Ties(None, "https://example.org", outsider.pk))


def test_the_end_of_a_task_of_theirs_costs_as_many_statements_as_before(
    put: Put, outsider: User, monkeypatch: pytest.MonkeyPatch
) -> None:
    from django.db import connection
    from django.test.utils import CaptureQueriesContext

    from agents.tasks import hooks

    counts = []
    for known in (list(hooks._hooks), []):
        monkeypatch.setattr(hooks, "_hooks", known)
        put()
        held = take_task()
        outbox.wants(Ties(None, "", outsider.pk))
        with CaptureQueriesContext(connection) as seen:
            tasks.succeed(claim=held, result={"text": "done"})
        counts.append(len(seen))
    assert counts[0] == counts[1]


def test_an_endpoint_that_another_process_has_made_is_known_a_moment_later(
    put: Put, member: User, inbox: Inbox, settings: Any
) -> None:
    settings.TASK_SETTINGS_CACHE_SECONDS = 0.2
    outbox.owners_with_endpoints.forget()
    ties = Ties(None, "", member.pk)
    assert not outbox.wants(ties)
    Endpoint.objects.create(owner=member, url=inbox.url, secret="whsec_AAAA")
    deadline = time.monotonic() + 5
    while not outbox.wants(ties):
        assert time.monotonic() < deadline
    put()
    end()
    assert Delivery.objects.count() == 1


def test_senders_are_woken_when_it_is_committed(put: Put, endpoint: Endpoint, monkeypatch: pytest.MonkeyPatch) -> None:
    woken: list[int] = []
    outbox.on_queued(lambda: woken.append(Delivery.objects.count()))
    put()
    with transaction.atomic():
        end()
        assert woken == []
    assert woken == [1]
