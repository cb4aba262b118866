"""What people do with webhooks: endpoints, secrets, tests, replays."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

from django.conf import settings
from django.db import transaction
from django.db.models import QuerySet
from django.utils import timezone
from django.utils.translation import gettext as _

from accounts import audit
from accounts.audit import Actor
from accounts.models import User
from agents.definitions.models import Agent
from agents.webhooks.exceptions import EndpointDisabled, InvalidEndpoint, NotReplayable, TooManyEndpoints
from agents.webhooks.messages import test_message
from agents.webhooks.models import STATUSES, Delivery, Endpoint, TaskSecret, every_status
from agents.webhooks.outbox import owners_with_endpoints, wake_senders
from agents.webhooks.signing import new_secret
from foundation import egress

LONGEST_OVERLAP = timedelta(days=7)
ENDPOINT_DISABLED = "The endpoint was disabled."


@dataclass(frozen=True, slots=True)
class IssuedSecret:
    """A row with its new secret, which is shown this once."""

    row: Endpoint | TaskSecret
    secret: str


@dataclass(frozen=True, slots=True)
class Wishes:
    """What an endpoint is told of, and how; `agent` None means every agent."""

    url: str
    description: str = ""
    statuses: tuple[str, ...] = STATUSES
    agent: Agent | None = None
    includes_result: bool = True

    @classmethod
    def of(cls, endpoint: Endpoint) -> Wishes:
        """As they stand."""
        return cls(
            endpoint.url, endpoint.description, tuple(endpoint.statuses), endpoint.agent, endpoint.includes_result
        )


def register_endpoint(*, owner: User, wishes: Wishes, actor: Actor) -> IssuedSecret:
    """Makes an endpoint; it is told of tasks that end from a second later on.

    The address is looked at now (its name is resolved) and again before each delivery.
    Raises InvalidEndpoint, TooManyEndpoints.
    """
    values = _checked(wishes)
    secret = new_secret()
    with transaction.atomic():
        # The person's row, so that two at once are counted one after the other.
        User.objects.select_for_update().only("pk").get(pk=owner.pk)
        if Endpoint.objects.filter(owner=owner).count() >= settings.WEBHOOK_MOST_ENDPOINTS:
            raise TooManyEndpoints(
                _("You have %(most)d endpoints, as many as you may.") % {"most": settings.WEBHOOK_MOST_ENDPOINTS}
            )
        row = Endpoint.objects.create(owner=owner, secret=secret, **values)
        audit.record(verb="webhook.register", actor=actor, subject=row, changes=audit.difference({}, _told(row)))
    owners_with_endpoints.forget()
    return IssuedSecret(row, secret)


def change_endpoint(*, endpoint: Endpoint, wishes: Wishes, actor: Actor) -> None:
    """Changes what it is told of; what waits for an old address goes to the new one. Raises InvalidEndpoint."""
    if wishes == Wishes.of(endpoint):
        return
    values, before = _checked(wishes), _told(endpoint)
    with transaction.atomic():
        # Deliveries before their endpoint, as senders lock them.
        Delivery.objects.filter(endpoint=endpoint, state__in=["pending", "failed"]).exclude(url=wishes.url).update(
            url=wishes.url, host=egress.host_of(wishes.url)
        )
        for name, value in values.items():
            setattr(endpoint, name, value)
        endpoint.save(update_fields=[*values])
        changes = audit.difference(before, _told(endpoint))
        audit.record(verb="webhook.change", actor=actor, subject=endpoint, changes=changes)


def _checked(wishes: Wishes) -> dict[str, Any]:
    """The values of the row. Raises InvalidEndpoint."""
    statuses = [status for status in STATUSES if status in wishes.statuses]
    if not statuses or set(wishes.statuses) - set(STATUSES):
        raise InvalidEndpoint(_("Choose at least one of: %(names)s.") % {"names": ", ".join(STATUSES)})
    try:
        egress.check_destination(wishes.url)
    except egress.EgressError as error:
        raise InvalidEndpoint(str(error)) from error
    return {
        "url": wishes.url, "description": wishes.description[:200], "statuses": statuses, "agent": wishes.agent,
        "includes_result": wishes.includes_result,
    }  # fmt: skip


def _told(endpoint: Endpoint) -> dict[str, Any]:
    """For the record: the host, never the whole address."""
    return {
        "host": egress.host_of(endpoint.url), "statuses": endpoint.statuses, "agent_id": str(endpoint.agent_id or ""),
        "includes_result": endpoint.includes_result,
    }  # fmt: skip


def disable_endpoint(*, endpoint: Endpoint, actor: Actor, because: str = Endpoint.Disabled.OWNER) -> bool:
    """Tells it nothing more, and gives up what waits for it; False when it was disabled before."""
    now = timezone.now()
    with transaction.atomic():
        live = Endpoint.objects.filter(pk=endpoint.pk, disabled_at=None)
        if not live.update(disabled_at=now, disabled_because=because):
            return False
        give_up(Delivery.objects.filter(endpoint=endpoint, state__in=["pending", "failed"]), now)
        audit.record(verb="webhook.disable", actor=actor, subject=endpoint, changes={"because": because})
    endpoint.disabled_at, endpoint.disabled_because = now, because
    owners_with_endpoints.forget()
    return True


def give_up(deliveries: QuerySet[Delivery], now: datetime) -> int:
    """Ends deliveries that wait; how many."""
    return deliveries.update(state=Delivery.State.DEAD, next_try_at=None, ended_at=now, last_error=ENDPOINT_DISABLED)


def enable_endpoint(*, endpoint: Endpoint, actor: Actor) -> bool:
    """Tells it again of what ends from now on; what was given up can be replayed. False when it was enabled."""
    with transaction.atomic():
        disabled = Endpoint.objects.filter(pk=endpoint.pk, disabled_at__isnull=False)
        if not disabled.update(disabled_at=None, disabled_because="", failing_since=None):
            return False
        audit.record(verb="webhook.enable", actor=actor, subject=endpoint)
    endpoint.disabled_at, endpoint.disabled_because, endpoint.failing_since = None, "", None
    owners_with_endpoints.forget()
    return True


def delete_endpoint(*, endpoint: Endpoint, actor: Actor) -> None:
    """Forgets it, with the log of its deliveries."""
    with transaction.atomic():
        audit.record(
            verb="webhook.delete", actor=actor, subject=endpoint, changes=audit.difference(_told(endpoint), {})
        )
        endpoint.delete()
    owners_with_endpoints.forget()


def rotate_secret(*, endpoint: Endpoint, actor: Actor, overlap: timedelta = timedelta(0)) -> IssuedSecret:
    """Gives it a new secret; the old one signs beside it for `overlap` more, at most seven days.

    The one before the old one, if it still signs, stops.
    """
    with transaction.atomic():
        row = Endpoint.objects.select_for_update(of=("self",)).get(pk=endpoint.pk)
        secret = _rotate(row, overlap)
        audit.record(verb="webhook.rotate", actor=actor, subject=row, changes=_overlap(overlap))
    return IssuedSecret(row, secret)


def rotate_task_secret(*, owner: User, actor: Actor, overlap: timedelta = timedelta(0)) -> IssuedSecret:
    """Gives a person a new secret for the webhooks of single tasks; the same rules. Also makes the first one."""
    with transaction.atomic():
        task_secret_of(owner.pk)
        row = TaskSecret.objects.select_for_update(of=("self",)).get(owner=owner)
        secret = _rotate(row, overlap)
        audit.record(verb="webhook.rotate", actor=actor, subject=row, changes=_overlap(overlap))
    return IssuedSecret(row, secret)


def task_secret_of(owner_id: Any) -> TaskSecret:
    """What signs the webhooks of a person's single tasks; one that nobody has seen is made when there is none."""
    return TaskSecret.objects.get_or_create(owner_id=owner_id, defaults={"secret": new_secret()})[0]


def _rotate(row: Endpoint | TaskSecret, overlap: timedelta) -> str:
    goes_on = min(overlap, LONGEST_OVERLAP)
    row.previous_secret = row.secret if goes_on else ""
    row.previous_until = timezone.now() + goes_on if goes_on else None
    secret = row.secret = new_secret()
    row.save(update_fields=["secret", "previous_secret", "previous_until"])
    return secret


def _overlap(overlap: timedelta) -> dict[str, int]:
    return {"overlap_seconds": int(min(overlap, LONGEST_OVERLAP).total_seconds())}


def send_test(*, endpoint: Endpoint, actor: Actor) -> Delivery:
    """Queues a test for it. Raises EndpointDisabled."""
    if endpoint.disabled_at is not None:
        raise EndpointDisabled(_("The endpoint is disabled; enable it first."))
    now = timezone.now()
    with transaction.atomic():
        delivery = Delivery.objects.create(
            owner_id=endpoint.owner_id, endpoint=endpoint, event=Delivery.Event.TEST, url=endpoint.url,
            host=egress.host_of(endpoint.url), body=test_message(endpoint.pk, now), created_at=now, next_try_at=now,
        )  # fmt: skip
        audit.record(verb="webhook.test", actor=actor, subject=endpoint)
        transaction.on_commit(wake_senders)
    return delivery


REPLAYABLE = (Delivery.State.DELIVERED, Delivery.State.DEAD, Delivery.State.FAILED)


def replay(*, delivery: Delivery, actor: Actor) -> Delivery:
    """Sends it again now, with the same `webhook-id` and body: a receiver that has it already knows it by its id.

    Goes to where its endpoint is now. Raises NotReplayable, EndpointDisabled.
    """
    with transaction.atomic():
        row = Delivery.objects.select_for_update(of=("self",)).get(pk=delivery.pk)
        if row.state not in REPLAYABLE:
            raise NotReplayable(_("The delivery is on its way, or about to be."))
        if row.endpoint_id is not None:
            endpoint = Endpoint.objects.without_secrets().get(pk=row.endpoint_id)
            if endpoint.disabled_at is not None:
                raise EndpointDisabled(_("The endpoint is disabled; enable it first."))
            row.url, row.host = endpoint.url, egress.host_of(endpoint.url)
        row.state, row.tries, row.ended_at = Delivery.State.PENDING, 0, None
        row.next_try_at = timezone.now()
        row.save(update_fields=["url", "host", "state", "tries", "ended_at", "next_try_at"])
        audit.record(verb="webhook.replay", actor=actor, subject=row, changes={"host": row.host})
        transaction.on_commit(wake_senders)
    return row


def statuses_of(names: Iterable[str]) -> tuple[str, ...]:
    """The statuses that were chosen; every one when none was."""
    return tuple(names) or tuple(every_status())
