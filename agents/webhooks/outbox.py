"""Writes the deliveries of a task that ends, in the transaction that ends it: neither is there without the other."""

from __future__ import annotations

import uuid
from collections.abc import Callable, Iterator
from datetime import datetime
from typing import Any

from django.db import transaction
from django.utils import timezone

from accounts.quota_warnings import Warned
from agents.tasks.hooks import Finished, Ties
from agents.tasks.models import Task
from agents.webhooks.messages import finished_message, quota_message
from agents.webhooks.models import Delivery, Endpoint
from foundation.egress import host_of
from foundation.remembered import Remembered

_wakers: list[Callable[[], None]] = []


def on_queued(wake: Callable[[], None]) -> None:
    """`wake` is called in this process when deliveries have been committed: its sender need not wait for its round."""
    if wake not in _wakers:
        _wakers.append(wake)


def wake_senders() -> None:
    """A courtesy: who is not woken finds the rows in its next round."""
    for wake in _wakers:
        wake()


def _find_owners() -> frozenset[uuid.UUID]:
    return frozenset(Endpoint.objects.live().order_by().values_list("owner", flat=True).distinct())


# Asked at the end of every task, so it is remembered for a moment: a new endpoint is told of tasks that end later than
# TASK_SETTINGS_CACHE_SECONDS after it was made.
owners_with_endpoints = Remembered(_find_owners)


def wants(ties: Ties) -> bool:
    """Whether anybody may have to be told of a task with these ties. Costs no query but one a second."""
    return bool(ties.webhook_url) or ties.owner_id in owners_with_endpoints()


def enqueue(finished: Finished) -> None:
    """Writes one delivery for each receiver. Called in the transaction that ends the task."""
    live = Endpoint.objects.live().without_secrets().filter(owner=finished.ties.owner_id)
    endpoints = [each for each in live if finished.status in each.statuses]
    if not endpoints and not finished.ties.webhook_url:
        return
    task = Task.objects.select_related("agent_version__agent").get(pk=finished.task_id)
    made = [*_deliveries(task, finished, endpoints, timezone.now())]
    if made:
        Delivery.objects.bulk_create(made)
        transaction.on_commit(wake_senders)


def enqueue_warning(warned: Warned) -> None:
    """Writes one delivery for each endpoint of the person whose quota it is. In the transaction that has spent."""
    if warned.person is None:
        return
    now = timezone.now()
    endpoints = Endpoint.objects.live().without_secrets().filter(owner=warned.person)
    body = quota_message(warned, now)
    made = [
        Delivery(
            owner_id=warned.person.pk, endpoint=each, url=each.url, host=host_of(each.url), created_at=now,
            next_try_at=now, event=Delivery.Event.QUOTA, body=body,
        )
        for each in endpoints
    ]  # fmt: skip
    if made:
        Delivery.objects.bulk_create(made)
        transaction.on_commit(wake_senders)


def _deliveries(task: Task, finished: Finished, endpoints: list[Endpoint], now: datetime) -> Iterator[Delivery]:
    bodies: dict[bool, str] = {}

    def body(*, with_result: bool) -> str:
        if with_result not in bodies:
            bodies[with_result] = finished_message(task, finished.result, now, with_result=with_result)
        return bodies[with_result]

    for endpoint in endpoints:
        if endpoint.wants(finished.status, task.agent_version.agent_id):
            yield _delivery(task, endpoint.url, body(with_result=endpoint.includes_result), now, endpoint)
    if finished.ties.webhook_url:
        yield _delivery(task, finished.ties.webhook_url, body(with_result=True), now, None)


def _delivery(task: Task, url: str, body: str, now: datetime, endpoint: Endpoint | None) -> Delivery:
    fields: dict[str, Any] = {"created_at": now, "next_try_at": now, "event": Delivery.Event.FINISHED, "body": body}
    return Delivery(owner_id=task.owner_id, endpoint=endpoint, task=task, url=url, host=host_of(url), **fields)
