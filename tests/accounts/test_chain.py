"""The chain of audit events: everything gets its place, once, and whatever is done to the rows is found."""

from __future__ import annotations

import json
from collections.abc import Callable
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
from django.core import mail
from django.core.management import call_command
from django.db import DatabaseError, transaction
from django.db.models import F
from django.utils import timezone
from pytest_django import DjangoCaptureOnCommitCallbacks

from accounts import audit, chain, links, seals
from accounts.models import AuditEvent, AuditSeal, User
from accounts.shredding import shred
from accounts.verifying import Verification, verify
from foundation.pruning import rules
from mutirao import checks
from tests.tasks.threads import at_once

THREADS, EACH = 16, 20
KEY = "dGVzdHMtb25seS1lbmNyeXB0aW9uLWtleS0zMmJ5dGU="
OTHER_KEY = "YW5vdGhlci1lbmNyeXB0aW9uLWtleS1vZi0zMi1ieXQ="


def _record(count: int = 1, **options: Any) -> list[AuditEvent]:
    usual: dict[str, Any] = {
        "verb": "auth.sign_in",
        "actor": audit.Actor(name="Ana", address="192.0.2.7", request_id="r-12345678"),
    }
    return [
        audit.record(**({**usual, "changes": {"number": number, "half": 0.5}} | options)) for number in range(count)
    ]


def _at(position: int) -> Any:
    return AuditEvent.objects.filter(position=position)


def _kind(found: Verification) -> tuple[str, int | None]:
    assert found.broken is not None
    return found.broken.kind, found.broken.position


@pytest.mark.django_db
def test_events_are_chained_after_the_commit(
    django_capture_on_commit_callbacks: DjangoCaptureOnCommitCallbacks,
) -> None:
    with django_capture_on_commit_callbacks(execute=True):
        _record()
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
            _record()
    assert chain.unchained().count() == 1
    seals.tend()
    assert chain.unchained().count() == 0
    assert verify().is_whole


@pytest.mark.django_db(transaction=True)
def test_many_at_once_leave_one_unbroken_chain() -> None:
    def work(number: int) -> None:
        for turn in range(EACH):
            with transaction.atomic():
                _record(actor=audit.Actor(name=f"{number}-{turn}"))

    at_once(work, THREADS)
    assert chain.unchained().count() == 0
    found = verify()
    assert (found.events, found.last, found.broken) == (THREADS * EACH, THREADS * EACH, None)


@pytest.mark.django_db
def test_rows_from_before_are_chained_first_and_as_they_are() -> None:
    old = [AuditEvent.objects.create(verb="auth.sign_in", actor_name=f"old {number}") for number in range(3)]
    _record(2)
    assert chain.chain_all() == 5
    assert [event.actor_name for event in AuditEvent.objects.order_by("position")[:3]] == [
        event.actor_name for event in old
    ]
    assert verify().is_whole


@pytest.mark.parametrize(
    "value", [1.0, 2e20, 1.5e300, 1e-7, 0.1, 2**70, True, None, "a\x00b", "\ud800", "é", {"b": [1, {"a": 2.0}]}]
)
@pytest.mark.django_db
def test_whatever_changes_say_is_the_same_when_it_is_read_again(value: Any) -> None:
    _record(changes={"value": value})
    assert verify().is_whole


@pytest.mark.parametrize("address", ["2001:DB8::1", "::ffff:192.0.2.1", "10.0.0.1"])
@pytest.mark.django_db
def test_addresses_are_the_same_when_they_are_read_again(address: str) -> None:
    _record(actor=audit.Actor(name="Ana", address=address))
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
    _record(5)
    assert verify().is_whole
    assert _at(position).update(**{column: EDITS[column]}) == 1
    assert not verify().is_whole


@pytest.mark.parametrize("position", [1, 3])
@pytest.mark.django_db
def test_a_deleted_event_is_found(position: int) -> None:
    _record(5)
    verify()
    _at(position).delete()
    assert _kind(verify()) == ("missing", position)


@pytest.mark.django_db
def test_a_deleted_event_whose_followers_were_moved_up_is_found() -> None:
    _record(5)
    verify()
    _at(3).delete()
    for position in (4, 5):
        _at(position).update(position=position - 1)
    assert _kind(verify()) == ("reordered", 3)


@pytest.mark.django_db
def test_a_deleted_end_is_found_by_the_last_seal() -> None:
    _record(5)
    seals.seal()
    _at(5).delete()
    assert _kind(verify()) == ("truncated", 5)


@pytest.mark.django_db
def test_a_deleted_end_that_was_written_anew_is_found_by_the_last_seal() -> None:
    _record(5)
    seals.seal()
    _at(5).delete()
    _record()
    assert _kind(verify()) == ("rewritten", 5)


@pytest.mark.django_db
def test_a_deleted_end_is_found_by_a_seal_outside_when_those_in_the_database_are_gone_too() -> None:
    _record(3)
    made = seals.seal()
    assert made is not None
    outside = json.loads(seals.line_of(made))
    AuditSeal.objects.all().delete()
    _at(3).delete()
    assert verify().is_whole
    assert _kind(verify(kept_outside=[outside])) == ("truncated", 3)
    AuditEvent.objects.all().delete()
    assert _kind(verify(kept_outside=[outside])) == ("truncated", 3)


@pytest.mark.django_db
def test_swapped_positions_are_found() -> None:
    _record(4)
    verify()
    _at(2).update(position=99)
    _at(3).update(position=2)
    _at(99).update(position=3)
    assert _kind(verify()) == ("reordered", 2)


@pytest.mark.django_db
def test_swapped_contents_are_found() -> None:
    _record(4)
    verify()
    names = [field.name for field in AuditEvent._meta.concrete_fields if field.name not in ("id", "position")]
    second, third = (_at(position).values(*names).get() for position in (2, 3))
    _at(2).update(**third)
    _at(3).update(**second)
    assert _kind(verify()) == ("changed", 2)


def _forged(**values: Any) -> AuditEvent:
    """A row as somebody writes it who can reckon digests and hashes, and has no key."""
    row = AuditEvent(verb="auth.sign_in", actor_name="Eva", salt=links.new_salt(), **values)
    row.digests = links.digests_of(chain.link_of(row)) | {links.PROOF: "0" * 64}
    return row


@pytest.mark.django_db
def test_an_event_put_between_is_found() -> None:
    _record(4)
    verify()
    for position in (4, 3):
        _at(position).update(position=position + 1)
    row = _forged(position=3)
    row.hash = links.hash_of(_at(2).get().hash, 3, chain.link_of(row))
    row.save()
    assert _kind(verify()) == ("inserted", 3)


@pytest.mark.django_db
def test_an_event_put_at_the_end_is_found_and_never_sealed() -> None:
    _record(2)
    verify()
    row = _forged(position=3)
    row.hash = links.hash_of(_at(2).get().hash, 3, chain.link_of(row))
    row.save()
    assert _kind(verify()) == ("inserted", 3)
    seals.tend()
    assert AuditSeal.objects.count() == 0


@pytest.mark.parametrize("make", [lambda: _forged(), lambda: AuditEvent(verb="auth.sign_in", actor_name="Eva")])
@pytest.mark.django_db
def test_an_event_put_beside_the_chain_gets_no_place_and_is_found(make: Callable[[], AuditEvent]) -> None:
    _record(2)
    verify()
    row = make()
    row.save()
    _record()
    found = verify()
    assert _kind(found) == ("inserted", None)
    assert found.broken is not None
    assert str(row.pk) in found.broken.sentence
    assert found.events == 3
    row.delete()
    assert verify().is_whole


@pytest.mark.parametrize("change", [{"hash": "0" * 64}, {"position": 2}, {"reason": "retention"}])
@pytest.mark.django_db
def test_a_forged_seal_is_found(change: dict[str, Any]) -> None:
    _record(3)
    seals.seal()
    assert verify().seals == 1
    AuditSeal.objects.update(**change)
    assert _kind(verify())[0] == "forged"


@pytest.mark.django_db
def test_a_seal_is_made_when_it_is_time_and_something_is_new(settings: Any) -> None:
    seals.tend()
    assert AuditSeal.objects.count() == 0
    _record()
    seals.tend()
    assert [made.position for made in AuditSeal.objects.all()] == [1]
    _record()
    seals.tend()
    assert AuditSeal.objects.count() == 1
    AuditSeal.objects.update(created_at=F("created_at") - timedelta(hours=settings.AUDIT_SEAL_HOURS, seconds=1))
    seals.tend()
    assert sorted(made.position for made in AuditSeal.objects.all()) == [1, 2]


@pytest.mark.django_db
def test_seals_are_kept_wherever_the_settings_say(
    settings: Any, tmp_path: Path, django_capture_on_commit_callbacks: DjangoCaptureOnCommitCallbacks
) -> None:
    file = tmp_path / "seals.jsonl"
    settings.AUDIT_SEALS = ["log", "file:/nowhere/at/all/seals.jsonl", f"file:{file}", "mail:auditor@example.org"]
    for _turn in range(2):
        _record()
        with django_capture_on_commit_callbacks(execute=True):
            assert seals.seal() is not None
    kept = [*seals.read_seals(file)]
    assert [seal["position"] for seal in kept] == [1, 2]
    assert file.stat().st_mode & 0o777 == 0o600
    assert [seals.line_of(made) for made in AuditSeal.objects.order_by("position")] == [
        message.body.strip() for message in mail.outbox
    ]
    assert verify(kept_outside=kept).is_whole


@pytest.mark.parametrize(
    ("places", "count"),
    [(["log"], 0), ([], 0), (["file:/a/b", "mail:a@b"], 0), (["file:b"], 1), (["mail:a"], 1), (["syslog", ""], 2)],
)
def test_wrong_places_are_a_named_error_at_the_start(settings: Any, places: list[str], count: int) -> None:
    settings.AUDIT_SEALS = places
    assert len(checks.audit_seals(None)) == count


@pytest.mark.django_db
def test_keys_can_be_changed(settings: Any) -> None:
    _record(2)
    seals.seal()
    settings.ENCRYPTION_KEYS = [OTHER_KEY, KEY]
    _record(2)
    assert verify().is_whole
    seals.seal()
    assert seals.sign_again() == 2
    settings.ENCRYPTION_KEYS = [OTHER_KEY]
    _record()
    assert verify().is_whole
    settings.ENCRYPTION_KEYS = ["YS10aGlyZC1lbmNyeXB0aW9uLWtleS1vZi0zMi1ieXQ="]
    assert _kind(verify())[0] == "forged"


def _retain(days: int) -> int:
    rule = next(rule for rule in rules() if rule.name == "audit")
    due = rule.due(days=days)
    assert due is not None
    return sum(rule.delete(due))


@pytest.fixture
def old_and_new(monkeypatch: pytest.MonkeyPatch) -> None:
    """Six events of long ago, three of today."""
    field = AuditEvent._meta.get_field("created_at")
    with monkeypatch.context() as patch:
        patch.setattr(field, "default", lambda: timezone.now() - timedelta(days=100))
        patch.setattr(field, "_get_default", lambda: timezone.now() - timedelta(days=100))
        _record(6)
    _record(3)
    chain.chain_all()


@pytest.mark.usefixtures("old_and_new")
@pytest.mark.django_db
def test_retention_cuts_the_beginning_and_the_rest_verifies(monkeypatch: pytest.MonkeyPatch) -> None:
    seals.seal()
    monkeypatch.setattr("accounts.pruning.BATCH", 4)
    assert _retain(50) == 6
    cut = AuditSeal.objects.get(reason="retention")
    assert cut.position == 6
    found = verify()
    assert (found.broken, found.first, found.last, found.events) == (None, 7, 9, 3)
    _record()
    assert verify().last == 10


@pytest.mark.usefixtures("old_and_new")
@pytest.mark.django_db
def test_a_cut_that_nobody_signed_is_found() -> None:
    AuditEvent.objects.filter(position__lte=6).delete()
    assert _kind(verify()) == ("missing", 1)
    AuditSeal.objects.create(position=6, hash="0" * 64, reason="retention", signature="0" * 64)
    assert _kind(verify()) == ("forged", 6)


@pytest.mark.usefixtures("old_and_new")
@pytest.mark.django_db
def test_the_last_event_is_never_cut_off() -> None:
    AuditEvent.objects.filter(position__gt=6).delete()
    assert _retain(1) == 5
    _record()
    assert (verify().is_whole, verify().last) == (True, 7)


@pytest.mark.django_db
def test_shredded_events_verify_and_tell_nothing(member: User, admin: User) -> None:
    _record(5)
    _record(actor=audit.Actor(name="Rui"))
    about = AuditEvent.objects.filter(actor_name="Ana")
    ids = [*about.values_list("pk", flat=True)]
    assert shred(events=about, verb="privacy.erase", actor=audit.SYSTEM, subject=member) == 5
    assert {(row.actor_name, row.salt, str(row.changes)) for row in AuditEvent.objects.filter(pk__in=ids)} == {
        ("", "", "{}")
    }
    found = verify()
    assert (found.broken, found.shredded) == (None, 5)
    # The deed itself may be shredded one day.
    deeds = AuditEvent.objects.filter(verb="privacy.erase")
    assert shred(events=deeds, verb="privacy.erase", actor=audit.SYSTEM, subject=admin) == 1
    assert verify().is_whole


@pytest.mark.django_db
def test_shredding_by_hand_is_found(member: User) -> None:
    _record(4)
    shred(events=_at(2), verb="privacy.erase", actor=audit.SYSTEM, subject=member)
    assert verify().is_whole
    deed = AuditEvent.objects.get(verb="privacy.erase")
    _at(3).update(**links.BLANK, salt="", shredded_by=deed.pk)
    assert _kind(verify()) == ("shredded", 3)


@pytest.mark.django_db
def test_the_commands_seal_and_verify(capsys: pytest.CaptureFixture[str]) -> None:
    _record(2)
    call_command("seal_audit")
    assert json.loads(capsys.readouterr().out)["position"] == 2
    call_command("seal_audit", again=True)
    assert "1 seals were signed again" in capsys.readouterr().err
