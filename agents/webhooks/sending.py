"""One delivery at a time: taken, sent, and its outcome written. Every write carries the fence.

At least once: a sender that dies between sending and writing leaves a lease that ends, and the delivery is sent again
under the same id. Never twice at once: whoever takes a delivery raises its fence in one guarded UPDATE.
"""

from __future__ import annotations

import random
import time
import uuid
from collections.abc import Collection, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from email.utils import parsedate_to_datetime
from http import HTTPStatus

import structlog
from django.conf import settings
from django.db import transaction
from django.utils import timezone

from accounts.audit import SYSTEM
from agents.webhooks import signing
from agents.webhooks.models import Delivery, DeliveryAttempt, Endpoint
from agents.webhooks.services import disable_endpoint, task_secret_of
from foundation import egress
from foundation.encryption import CannotDecrypt
from foundation.threads import close_connections
from telemetry import metrics
from telemetry.masking import mask_text

logger = structlog.get_logger(__name__)

# Seconds before the second try, the third, …: the schedule that Standard Webhooks recommends, three days in all.
PAUSES = (5, 5 * 60, 30 * 60, 2 * 3600, 5 * 3600, 10 * 3600, 14 * 3600, 20 * 3600, 24 * 3600)
LONGEST_RETRY_AFTER = 24 * 3600
# Resolving and writing take time besides the answer.
LEASE_EXTRA_SECONDS = 15
MOST_EXCERPT = 500
MOST_ERROR = 300
FIRST_FEW = 20


@dataclass(frozen=True, slots=True)
class Taken:
    """A delivery that this process may send, until the lease ends. `fence` proves it."""

    delivery: Delivery
    fence: int


@dataclass(frozen=True, slots=True)
class Outcome:
    """What came of one try. `retry_after` is in seconds; `final`: no further try can go better."""

    status_code: int | None = None
    error: str = ""
    excerpt: str = ""
    retry_after: float | None = None
    final: bool = False

    @property
    def is_success(self) -> bool:
        """2xx."""
        return self.status_code is not None and 200 <= self.status_code < 300

    @property
    def is_gone(self) -> bool:
        """The receiver wants nothing more, ever."""
        return self.status_code == HTTPStatus.GONE


def take(*, not_to: Collection[str] = (), now: datetime | None = None) -> Taken | None:
    """Takes the delivery that has been due longest, to none of these hosts; None when nothing is to be sent."""
    moment = now or timezone.now()
    # Among the first few by chance: several workers that look at the same moment should not fight for one.
    due = [*Delivery.objects.due(moment).not_to(not_to)[:FIRST_FEW]]
    lost = [*Delivery.objects.abandoned(moment).not_to(not_to)[:FIRST_FEW]]
    random.shuffle(due)
    for delivery in (*lost, *due):
        if _take(delivery, moment):
            return Taken(delivery, delivery.fence)
    return None


def _take(delivery: Delivery, now: datetime) -> bool:
    fence, tries = delivery.fence + 1, delivery.tries + 1
    lease = now + timedelta(seconds=settings.WEBHOOK_SECONDS + LEASE_EXTRA_SECONDS)
    free = Delivery.objects.takeable(now).filter(pk=delivery.pk, fence=delivery.fence)
    changed = free.update(
        state=Delivery.State.DELIVERING, fence=fence, tries=tries, next_try_at=None, lease_expires_at=lease
    )
    if changed:
        delivery.fence, delivery.tries, delivery.state = fence, tries, Delivery.State.DELIVERING
    return bool(changed)


def deliver(taken: Taken) -> str:
    """Sends it once and writes what came of it; the state that it is left in, empty when another has it by now."""
    delivery, began, started_at = taken.delivery, time.monotonic(), timezone.now()
    outcome = _send(delivery, started_at)
    attempt = DeliveryAttempt(
        delivery=delivery, number=taken.fence, started_at=started_at, duration_ms=(time.monotonic() - began) * 1000,
        status_code=outcome.status_code, error=outcome.error, excerpt=outcome.excerpt,
    )  # fmt: skip
    state = _write(taken, outcome, attempt)
    logger.info(
        "webhook_tried", delivery_id=str(delivery.pk), host=delivery.host, status_code=outcome.status_code,
        error=outcome.error, state=state or "lease_lost", attempt=taken.fence,
        duration_ms=round(attempt.duration_ms, 1),
    )  # fmt: skip
    _count(state or "lease_lost", attempt.duration_ms / 1000)
    return state


def _send(delivery: Delivery, now: datetime) -> Outcome:
    body = delivery.body.encode()
    try:
        url, secrets = _receiver(delivery, now)
        # A slow receiver keeps a thread, but no connection of the pool that the agents' runs share.
        close_connections()
        answer = egress.send(
            "POST", url, content=body, most_bytes=4 * MOST_EXCERPT, cut=True,
            headers={
                "Content-Type": "application/json",
                **signing.headers(secrets, str(delivery.pk), int(now.timestamp()), body),
            },
            timeouts=egress.Timeouts(connect=min(5.0, settings.WEBHOOK_SECONDS), total=settings.WEBHOOK_SECONDS),
        )  # fmt: skip
    except egress.EgressError as error:
        return Outcome(error=mask_text(str(error))[:MOST_ERROR])
    except (CannotDecrypt, Endpoint.DoesNotExist) as error:
        logger.warning("webhook_not_signed", delivery_id=str(delivery.pk), error=str(error))
        return Outcome(error=str(error)[:MOST_ERROR])
    return Outcome(
        status_code=answer.status, excerpt=_excerpt(answer.body),
        retry_after=retry_after(answer.headers, now), error="" if answer.status < 300 else _said(answer.status),
    )  # fmt: skip


def _receiver(delivery: Delivery, now: datetime) -> tuple[str, list[str]]:
    """Where it goes, which is where its endpoint is now, and what signs it."""
    if delivery.endpoint_id is None:
        return delivery.url, task_secret_of(delivery.owner_id).signing_secrets(now)
    endpoint = Endpoint.objects.get(pk=delivery.endpoint_id)
    return endpoint.url, endpoint.signing_secrets(now)


def _write(taken: Taken, outcome: Outcome, attempt: DeliveryAttempt) -> str:
    """The new state, in one transaction with the log and what it means for the endpoint."""
    delivery, now = taken.delivery, timezone.now()
    with transaction.atomic():
        held = Delivery.objects.filter(pk=delivery.pk, fence=taken.fence, state=Delivery.State.DELIVERING)
        values = _next(delivery, outcome, now)
        changed = held.update(
            lease_expires_at=None, last_status_code=outcome.status_code, last_error=outcome.error, **values
        )
        if not changed:
            return ""
        attempt.save(force_insert=True)
        if delivery.endpoint_id is not None and _end_endpoint(delivery.endpoint_id, outcome, now):
            # The sweep of what waits has not met this one, which was on its way.
            Delivery.objects.filter(pk=delivery.pk, state=Delivery.State.FAILED).update(
                state=Delivery.State.DEAD, next_try_at=None, ended_at=now
            )
            return str(Delivery.State.DEAD)
    return str(values["state"])


def _next(delivery: Delivery, outcome: Outcome, now: datetime) -> dict[str, object]:
    if outcome.is_success:
        return {"state": Delivery.State.DELIVERED, "next_try_at": None, "ended_at": now}
    if outcome.is_gone or delivery.tries > len(PAUSES):
        return {"state": Delivery.State.DEAD, "next_try_at": None, "ended_at": now}
    pause = pause_after(delivery.tries, outcome.retry_after)
    return {"state": Delivery.State.FAILED, "next_try_at": now + timedelta(seconds=pause), "ended_at": None}


def _end_endpoint(endpoint_id: uuid.UUID, outcome: Outcome, now: datetime) -> bool:
    """Notes how the endpoint does; whether it is disabled (by this, or by somebody meanwhile)."""
    endpoint = Endpoint.objects.without_secrets().filter(pk=endpoint_id).first()
    if endpoint is None:
        return False
    if outcome.is_success:
        if endpoint.failing_since is not None:
            Endpoint.objects.filter(pk=endpoint_id).update(failing_since=None)
        return False
    if outcome.is_gone:
        disable_endpoint(endpoint=endpoint, actor=SYSTEM, because=Endpoint.Disabled.GONE)
    elif endpoint.failing_since is None:
        Endpoint.objects.filter(pk=endpoint_id, failing_since=None).update(failing_since=now)
    elif now - endpoint.failing_since > timedelta(days=settings.WEBHOOK_FAILING_DAYS):
        disable_endpoint(endpoint=endpoint, actor=SYSTEM, because=Endpoint.Disabled.FAILING)
    return endpoint.disabled_at is not None


def pause_after(tries: int, retry_after: float | None = None) -> float:
    """Seconds before the next try after so many: the schedule with up to a tenth more by chance, and never sooner than
    the receiver asked for."""
    usual = PAUSES[min(tries, len(PAUSES)) - 1]
    return max(usual * (1 + random.random() / 10), retry_after or 0.0)  # noqa: S311 (jitter)


def retry_after(headers: Mapping[str, str], now: datetime) -> float | None:
    """Seconds that the receiver asks for, in either form of RFC 9110, within a day; None when it asks for nothing."""
    text = headers.get("retry-after", "").strip()
    if text.isascii() and text.isdigit():
        return min(float(text), LONGEST_RETRY_AFTER)
    try:
        moment = parsedate_to_datetime(text)
    except ValueError:
        return None
    moment = moment if moment.tzinfo else moment.replace(tzinfo=UTC)
    return min(max((moment - now).total_seconds(), 0.0), LONGEST_RETRY_AFTER)


def _said(status: int) -> str:
    if 300 <= status < 400:
        return f"HTTP {status}: redirects are not followed."
    try:
        return f"HTTP {status} {HTTPStatus(status).phrase}"
    except ValueError:
        return f"HTTP {status}"


def _excerpt(body: bytes) -> str:
    """The beginning of an answer, in a form that may be stored and shown."""
    text = "".join(each if each.isprintable() or each == "\n" else " " for each in body.decode(errors="replace"))
    return mask_text(text)[:MOST_EXCERPT]


@metrics.harmless
def _count(state: str, seconds: float) -> None:
    metrics.WEBHOOKS.labels(state).inc()
    metrics.WEBHOOK_SECONDS.labels(state).observe(seconds)
