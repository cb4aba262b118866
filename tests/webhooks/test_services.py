"""Endpoints: what may be registered, how they are turned off, and what may be sent again."""

from __future__ import annotations

import io
from datetime import timedelta
from typing import Any

import pytest
from django.core.management import call_command
from django.utils import timezone

from accounts.audit import SYSTEM
from accounts.models import AuditEvent, User
from agents.webhooks import services
from agents.webhooks.exceptions import EndpointDisabled, InvalidEndpoint, NotReplayable, TooManyEndpoints
from agents.webhooks.measuring import waiting
from agents.webhooks.models import Delivery, DeliveryAttempt, Endpoint
from agents.webhooks.services import IssuedSecret, Wishes
from mutirao.rows import columns_of, read_lines, write_lines
from tests.webhooks.conftest import Put, end, later, send_next
from tests.webhooks.inbox import Inbox

pytestmark = pytest.mark.django_db(transaction=True)


@pytest.mark.parametrize(
    "url",
    [
        "https://127.0.0.2/", "https://10.0.0.1/hook", "https://169.254.169.254/latest/", "https://[::1]/",
        "http://example.com/", "ftp://example.com/", "https://user:secret@example.com/", "nonsense", "",
    ],
)  # fmt: skip
def test_an_address_inside_is_refused(member: User, settings: Any, url: str) -> None:
    settings.EGRESS_ALLOW_HTTP = False
    with pytest.raises(InvalidEndpoint):
        services.register_endpoint(owner=member, wishes=Wishes(url), actor=SYSTEM)
    assert Endpoint.objects.count() == 0


@pytest.mark.parametrize("statuses", [(), ("running",), ("failed", "nonsense")])
def test_only_ends_can_be_told(member: User, inbox: Inbox, statuses: tuple[str, ...]) -> None:
    with pytest.raises(InvalidEndpoint):
        services.register_endpoint(owner=member, wishes=Wishes(inbox.url, statuses=statuses), actor=SYSTEM)


def test_nobody_has_more_than_their_share(member: User, inbox: Inbox, settings: Any) -> None:
    settings.WEBHOOK_MOST_ENDPOINTS = 2
    for _ in range(2):
        services.register_endpoint(owner=member, wishes=Wishes(inbox.url), actor=SYSTEM)
    with pytest.raises(TooManyEndpoints):
        services.register_endpoint(owner=member, wishes=Wishes(inbox.url), actor=SYSTEM)
    assert Endpoint.objects.count() == 2


def test_what_waits_follows_its_endpoint(queued: Delivery, endpoint: Endpoint, inbox: Inbox) -> None:
    inbox.say("500 Oh")
    send_next()
    moved = Inbox()
    services.change_endpoint(endpoint=endpoint, wishes=Wishes(moved.url), actor=SYSTEM)
    queued.refresh_from_db()
    assert queued.url == moved.url
    assert send_next(later(days=1)) == "delivered"
    assert (len(inbox.messages), len(moved.messages)) == (1, 1)
    moved.close()


def test_a_change_to_an_address_inside_is_refused(endpoint: Endpoint) -> None:
    before = endpoint.url
    with pytest.raises(InvalidEndpoint):
        services.change_endpoint(endpoint=endpoint, wishes=Wishes("https://10.0.0.1/"), actor=SYSTEM)
    endpoint.refresh_from_db()
    assert endpoint.url == before


def test_turning_off_gives_up_what_waits_and_turning_on_begins_anew(
    put: Put, queued: Delivery, endpoint: Endpoint, inbox: Inbox
) -> None:
    assert services.disable_endpoint(endpoint=endpoint, actor=SYSTEM)
    assert not services.disable_endpoint(endpoint=endpoint, actor=SYSTEM)
    queued.refresh_from_db()
    assert (queued.state, queued.last_error) == ("dead", "The endpoint was disabled.")
    with pytest.raises(EndpointDisabled):
        services.replay(delivery=queued, actor=SYSTEM)
    with pytest.raises(EndpointDisabled):
        services.send_test(endpoint=endpoint, actor=SYSTEM)
    assert services.enable_endpoint(endpoint=endpoint, actor=SYSTEM)
    assert not services.enable_endpoint(endpoint=endpoint, actor=SYSTEM)
    put()
    end()
    assert Delivery.objects.filter(state="pending").count() == 1
    verbs = [*AuditEvent.objects.filter(subject_id=endpoint.pk).order_by("created_at").values_list("verb", flat=True)]
    assert verbs == ["webhook.register", "webhook.disable", "webhook.enable"]


def test_a_replay_keeps_the_id_and_begins_the_schedule_anew(queued: Delivery, inbox: Inbox, member: User) -> None:
    with pytest.raises(NotReplayable):
        services.replay(delivery=queued, actor=SYSTEM)
    send_next()
    services.replay(delivery=queued, actor=SYSTEM)
    inbox.say("500 Oh")
    assert send_next() == "failed"
    services.replay(delivery=queued, actor=SYSTEM)
    assert send_next() == "delivered"
    assert {message.headers["webhook-id"] for message in inbox.messages} == {str(queued.pk)}
    assert [*DeliveryAttempt.objects.values_list("number", "status_code")] == [(1, 200), (2, 500), (3, 200)]
    assert AuditEvent.objects.filter(verb="webhook.replay", subject_id=queued.pk).count() == 2


def test_a_test_is_delivered_like_everything_else(endpoint: Endpoint, inbox: Inbox) -> None:
    services.send_test(endpoint=endpoint, actor=SYSTEM)
    assert send_next() == "delivered"
    assert b'"type":"webhook.test"' in inbox.messages[0].body


def test_deleting_takes_the_log_along(queued: Delivery, endpoint: Endpoint) -> None:
    services.delete_endpoint(endpoint=endpoint, actor=SYSTEM)
    assert (Endpoint.objects.count(), Delivery.objects.count()) == (0, 0)
    assert AuditEvent.objects.filter(verb="webhook.delete").count() == 1


def test_an_overlap_is_at_most_a_week(endpoint: Endpoint) -> None:
    services.rotate_secret(endpoint=endpoint, actor=SYSTEM, overlap=timedelta(days=100))
    endpoint.refresh_from_db()
    assert endpoint.previous_until is not None
    assert timedelta(days=6) < endpoint.previous_until - timezone.now() <= timedelta(days=7)
    first = endpoint.secret
    services.rotate_secret(endpoint=endpoint, actor=SYSTEM)
    endpoint.refresh_from_db()
    assert endpoint.signing_secrets(timezone.now()) == [endpoint.secret]
    assert endpoint.secret != first


def test_old_deliveries_go_and_waiting_ones_stay(put: Put, queued: Delivery, inbox: Inbox) -> None:
    send_next()
    put()
    end()
    Delivery.objects.update(created_at=timezone.now() - timedelta(days=1000))
    Delivery.objects.filter(state="delivered").update(ended_at=timezone.now() - timedelta(days=1000))
    output = io.StringIO()
    call_command("prune", stdout=output)
    assert "webhook deliveries: 1 deleted" in output.getvalue()
    assert [each.state for each in Delivery.objects.all()] == ["pending"]


def test_what_waits_is_measured(put: Put, queued: Delivery, inbox: Inbox) -> None:
    put()
    end()
    inbox.say("500 Oh")
    send_next()
    Delivery.objects.filter(state="pending").update(next_try_at=timezone.now() - timedelta(minutes=5))
    samples = {
        (sample.name, *sample.labels.values()): sample.value for metric in waiting() for sample in metric.samples
    }
    assert samples["mutirao_webhooks_waiting", "pending"] == 1
    assert samples["mutirao_webhooks_waiting", "failed"] == 1
    assert 299 < samples[("mutirao_webhooks_oldest_due_seconds",)] < 400


def test_a_backup_holds_secrets_sealed_and_brings_them_back(registered: IssuedSecret, endpoint: Endpoint) -> None:
    lines = [*read_lines(Endpoint, using="default")]
    assert len(lines) == 1
    assert registered.secret.removeprefix("whsec_").encode() not in lines[0]
    Endpoint.objects.all().delete()
    names = [column.name for column in columns_of(Endpoint)]
    assert write_lines(Endpoint, lines, names=names, using="default") == 1
    assert Endpoint.objects.get(pk=endpoint.pk).secret == registered.secret
