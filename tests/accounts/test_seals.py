"""Seals of the chain, what retention cuts off, and what shredding blanks."""

from __future__ import annotations

import json
import random
from collections.abc import Callable
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
from django.core import mail
from django.core.management import call_command
from django.db.models import F
from django.utils import timezone
from pytest_django import DjangoCaptureOnCommitCallbacks

from accounts import audit, chain, links, pruning, seals
from accounts.models import AuditEvent, AuditSeal, User
from accounts.shredding import shred
from accounts.verifying import verify
from foundation.pruning import rules
from mutirao import checks
from tests.accounts.events import at, kind, record

KEY = "dGVzdHMtb25seS1lbmNyeXB0aW9uLWtleS0zMmJ5dGU="
OTHER_KEY = "YW5vdGhlci1lbmNyeXB0aW9uLWtleS1vZi0zMi1ieXQ="


@pytest.mark.parametrize("change", [{"hash": "0" * 64}, {"position": 2}, {"reason": "retention"}])
@pytest.mark.django_db
def test_a_forged_seal_is_found(change: dict[str, Any]) -> None:
    record(3)
    seals.seal()
    assert verify().seals == 1
    AuditSeal.objects.update(**change)
    assert kind(verify())[0] == "forged"


@pytest.mark.django_db
def test_a_seal_is_made_when_it_is_time_and_something_is_new(settings: Any) -> None:
    seals.tend()
    assert AuditSeal.objects.count() == 0
    record()
    seals.tend()
    assert [made.position for made in AuditSeal.objects.all()] == [1]
    record()
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
        record()
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
    record(2)
    seals.seal()
    settings.ENCRYPTION_KEYS = [OTHER_KEY, KEY]
    record(2)
    assert verify().is_whole
    seals.seal()
    assert seals.sign_again() == 2
    settings.ENCRYPTION_KEYS = [OTHER_KEY]
    record()
    assert verify().is_whole
    settings.ENCRYPTION_KEYS = ["YS10aGlyZC1lbmNyeXB0aW9uLWtleS1vZi0zMi1ieXQ="]
    assert kind(verify())[0] == "forged"


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
        record(6)
    record(3)
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
    record()
    assert verify().last == 10


@pytest.mark.usefixtures("old_and_new")
@pytest.mark.django_db
def test_a_cut_that_nobody_signed_is_found() -> None:
    AuditEvent.objects.filter(position__lte=6).delete()
    assert kind(verify()) == ("missing", 1)
    AuditSeal.objects.create(position=6, hash="0" * 64, reason="retention", signature="0" * 64)
    assert kind(verify()) == ("forged", 6)


@pytest.mark.usefixtures("old_and_new")
@pytest.mark.django_db
def test_the_last_event_is_never_cut_off() -> None:
    AuditEvent.objects.filter(position__gt=6).delete()
    assert _retain(1) == 5
    record()
    assert (verify().is_whole, verify().last) == (True, 7)


@pytest.mark.django_db
def test_shredded_events_verify_and_tell_nothing(member: User, admin: User) -> None:
    record(5)
    record(actor=audit.Actor(name="Rui"))
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
    record(4)
    shred(events=at(2), verb="privacy.erase", actor=audit.SYSTEM, subject=member)
    assert verify().is_whole
    deed = AuditEvent.objects.get(verb="privacy.erase")
    at(3).update(**links.BLANK, salt="", shredded_by=deed.pk)
    assert kind(verify()) == ("shredded", 3)


@pytest.mark.django_db
def test_the_commands_seal_and_verify(capsys: pytest.CaptureFixture[str]) -> None:
    record(2)
    call_command("seal_audit")
    assert json.loads(capsys.readouterr().out)["position"] == 2
    call_command("seal_audit", again=True)
    assert "1 seals were signed again" in capsys.readouterr().err


def _shred_some(dice: random.Random, member: User) -> None:
    ids = [pk for pk in AuditEvent.objects.values_list("pk", flat=True) if dice.random() < 0.2]
    shred(events=AuditEvent.objects.filter(pk__in=ids), verb="privacy.erase", actor=audit.SYSTEM, subject=member)


def _cut_some(dice: random.Random) -> None:
    positions = [*AuditEvent.objects.order_by("position").values_list("position", flat=True)]
    if len(positions) > 8 and all(positions):
        until = positions[dice.randint(1, len(positions) // 2)]
        sum(pruning.cut(AuditEvent.objects.filter(position__lt=until).order_by("position")))


@pytest.mark.parametrize("seed", range(3))
@pytest.mark.django_db
def test_whatever_the_platform_does_itself_leaves_a_whole_chain(
    seed: int, member: User, monkeypatch: pytest.MonkeyPatch
) -> None:
    dice = random.Random(seed)
    monkeypatch.setattr(pruning, "BATCH", 3)
    deeds: list[Callable[[], object]] = [
        lambda: record(dice.randint(1, 4)), lambda: _shred_some(dice, member), lambda: _cut_some(dice), seals.seal,
        lambda: chain.chain(most=1),
    ]  # fmt: skip
    for turn in range(30):
        dice.choice(deeds)()
        assert verify().is_whole, turn
    record()
    seals.seal()
    AuditEvent.objects.filter(position=verify().last).update(actor_name="Eva")
    assert kind(verify())[0] == "changed"
