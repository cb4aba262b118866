"""The chain of audit events: everything gets its place, once, and whatever is done to the rows is found."""

from __future__ import annotations

import json
from collections.abc import Callable
from datetime import timedelta
from typing import Any

import pytest
from django.db import DatabaseError, transaction
from django.utils import timezone
from pytest_django import DjangoCaptureOnCommitCallbacks

from accounts import audit, chain, links, seals
from accounts.models import AuditEvent, AuditSeal
from accounts.verifying import verify
from tests.accounts.events import at, kind, record
from tests.tasks.threads import at_once

THREADS, EACH = 16, 20


@pytest.mark.django_db
def test_events_are_chained_after_the_commit(
    django_capture_on_commit_callbacks: DjangoCaptureOnCommitCallbacks,
) -> None:
    with django_capture_on_commit_callbacks(execute=True):
        record()
        assert chain.unchained().count() == 1
    event = AuditEvent.objects.get()
    assert (event.position, len(event.hash)) == (1, 64)


@pytest.mark.django_db
def test_an_event_is_chained_later_when_that_fails_and_nobody_is_told(
    monkeypatch: pytest.MonkeyPatch, django_capture_on_commit_callbacks: DjangoCaptureOnCommitCallbacks
) -> None:
    with monkeypatch.context() as patch:
        patch.setattr(chain, "lock", lambda: (_ for _ in ()).throw(DatabaseError("locked")))
        with django_capture_on_commit_callbacks(execute=True):
            record()
    assert chain.unchained().count() == 1
    seals.tend()
    assert chain.unchained().count() == 0
    assert verify().is_whole


@pytest.mark.django_db(transaction=True)
def test_many_at_once_leave_one_unbroken_chain() -> None:
    def work(number: int) -> None:
        for turn in range(EACH):
            with transaction.atomic():
                record(actor=audit.Actor(name=f"{number}-{turn}"))

    at_once(work, THREADS)
    assert chain.unchained().count() == 0
    found = verify()
    assert (found.events, found.last, found.broken) == (THREADS * EACH, THREADS * EACH, None)


@pytest.mark.django_db
def test_rows_from_before_are_chained_first_and_as_they_are() -> None:
    old = [AuditEvent.objects.create(verb="auth.sign_in", actor_name=f"old {number}") for number in range(3)]
    record(2)
    assert chain.chain_all() == 5
    assert [event.actor_name for event in AuditEvent.objects.order_by("position")[:3]] == [
        event.actor_name for event in old
    ]
    assert verify().is_whole


NUMBERS = [1.0, float("nan"), float("-inf"), 2e20, 1.5e300, 1e-7, 0.1, 2**70]


@pytest.mark.parametrize("value", [*NUMBERS, True, None, "a\x00b", "\ud800", "é", {"b": [1, {"a": 2.0}]}])
@pytest.mark.django_db
def test_whatever_changes_say_is_the_same_when_it_is_read_again(value: Any) -> None:
    record(changes={"value": value})
    assert verify().is_whole


@pytest.mark.parametrize(
    ("address", "kept"),
    [
        ("2001:DB8::1", "2001:db8::1"), ("::ffff:192.0.2.1", "::ffff:192.0.2.1"), ("10.0.0.1", "10.0.0.1"),
        ("fe80::1%eth0", "fe80::1"), ("a-socket", None), ("", None), (None, None),
    ],
)  # fmt: skip
@pytest.mark.django_db
def test_addresses_are_the_same_when_they_are_read_again(address: str | None, kept: str | None) -> None:
    record(actor=audit.Actor(name="Ana", address=address))
    assert AuditEvent.objects.get().address == kept
    assert verify().is_whole


EDITS: dict[str, Any] = {
    "id": "019a0000-0000-7000-8000-000000000000",
    "created_at": timezone.now() - timedelta(days=3),
    "verb": "auth.sign_out",
    "outcome": "denied",
    "actor_id": "019a0000-0000-7000-8000-000000000001",
    "actor_name": "Eva",
    "subject_type": "accounts.role",
    "subject_id": "019a0000-0000-7000-8000-000000000002",
    "subject_name": "another",
    "changes": {"number": 7},
    "address": "198.51.100.1",
    "request_id": "another-request",
    "position": 77,
    "hash": "0" * 64,
    "salt": "0" * 32,
    "digests": {},
    "shredded_by": "019a0000-0000-7000-8000-000000000003",
}


def test_every_column_has_an_edit() -> None:
    assert {field.name for field in AuditEvent._meta.concrete_fields} == set(EDITS)


@pytest.mark.parametrize("position", [1, 3, 5])
@pytest.mark.parametrize("column", EDITS)
@pytest.mark.django_db
def test_an_edit_of_any_column_is_found(column: str, position: int) -> None:
    record(5)
    assert verify().is_whole
    assert at(position).update(**{column: EDITS[column]}) == 1
    assert not verify().is_whole


@pytest.mark.parametrize("position", [1, 3])
@pytest.mark.django_db
def test_a_deleted_event_is_found(position: int) -> None:
    record(5)
    verify()
    at(position).delete()
    assert kind(verify()) == ("missing", position)


@pytest.mark.django_db
def test_a_deleted_event_whose_followers_were_moved_up_is_found() -> None:
    record(5)
    verify()
    at(3).delete()
    for position in (4, 5):
        at(position).update(position=position - 1)
    assert kind(verify()) == ("reordered", 3)


@pytest.mark.django_db
def test_a_deleted_end_is_found_by_the_last_seal() -> None:
    record(5)
    seals.seal()
    at(5).delete()
    assert kind(verify()) == ("truncated", 5)


@pytest.mark.django_db
def test_a_deleted_end_that_was_written_anew_is_found_by_the_last_seal() -> None:
    record(5)
    seals.seal()
    at(5).delete()
    record()
    assert kind(verify()) == ("rewritten", 5)


@pytest.mark.django_db
def test_a_deleted_end_is_found_by_a_seal_outside_when_those_in_the_database_are_gone_too() -> None:
    record(3)
    made = seals.seal()
    assert made is not None
    outside = json.loads(seals.line_of(made))
    AuditSeal.objects.all().delete()
    at(3).delete()
    assert verify().is_whole
    assert kind(verify(kept_outside=[outside])) == ("truncated", 3)
    AuditEvent.objects.all().delete()
    assert kind(verify(kept_outside=[outside])) == ("truncated", 3)


@pytest.mark.django_db
def test_swapped_positions_are_found() -> None:
    record(4)
    verify()
    at(2).update(position=99)
    at(3).update(position=2)
    at(99).update(position=3)
    assert kind(verify()) == ("reordered", 2)


@pytest.mark.django_db
def test_swapped_contents_are_found() -> None:
    record(4)
    verify()
    names = [field.name for field in AuditEvent._meta.concrete_fields if field.name not in ("id", "position")]
    second, third = (at(position).values(*names).get() for position in (2, 3))
    at(2).update(**third)
    at(3).update(**second)
    assert kind(verify()) == ("changed", 2)


def _forged(**values: Any) -> AuditEvent:
    """A row as somebody writes it who can reckon digests and hashes, and has no key."""
    row = AuditEvent(verb="auth.sign_in", actor_name="Eva", salt=links.new_salt(), **values)
    row.digests = links.digests_of(chain.link_of(row)) | {links.PROOF: "0" * 64}
    return row


@pytest.mark.django_db
def test_an_event_put_between_is_found() -> None:
    record(4)
    verify()
    for position in (4, 3):
        at(position).update(position=position + 1)
    row = _forged(position=3)
    row.hash = links.hash_of(at(2).get().hash, 3, chain.link_of(row))
    row.save()
    assert kind(verify()) == ("inserted", 3)


@pytest.mark.django_db
def test_an_event_put_at_the_end_is_found_and_never_sealed() -> None:
    record(2)
    verify()
    row = _forged(position=3)
    row.hash = links.hash_of(at(2).get().hash, 3, chain.link_of(row))
    row.save()
    assert kind(verify()) == ("inserted", 3)
    seals.tend()
    assert AuditSeal.objects.count() == 0


@pytest.mark.parametrize("make", [lambda: _forged(), lambda: AuditEvent(verb="auth.sign_in", actor_name="Eva")])
@pytest.mark.django_db
def test_an_event_put_beside_the_chain_gets_no_place_and_is_found(make: Callable[[], AuditEvent]) -> None:
    record(2)
    verify()
    row = make()
    row.save()
    record()
    found = verify()
    assert kind(found) == ("inserted", None)
    assert found.broken is not None
    assert str(row.pk) in found.broken.sentence
    assert found.events == 3
    row.delete()
    assert verify().is_whole
