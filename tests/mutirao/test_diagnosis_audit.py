"""What the doctor says of the audit log."""

from __future__ import annotations

from datetime import timedelta

import pytest
from django.utils.timezone import now

from accounts import chain, seals
from accounts.models import AuditEvent, AuditSeal
from mutirao.diagnosis_audit import audit_log
from mutirao.findings import Level
from tests.accounts.events import record

pytestmark = pytest.mark.django_db


def _level() -> Level:
    [finding] = audit_log()
    assert finding.advice or finding.level is Level.OK
    return finding.level


def test_a_log_that_is_tended_is_well() -> None:
    assert _level() is Level.OK
    record(2)
    assert _level() is Level.OK
    seals.seal()
    assert _level() is Level.OK


def test_events_that_stay_without_a_place_are_critical() -> None:
    record()
    AuditEvent.objects.update(created_at=now() - timedelta(minutes=6))
    assert _level() is Level.CRITICAL


def test_a_chain_that_goes_on_without_seals_is_a_warning() -> None:
    record()
    seals.seal()
    AuditSeal.objects.update(created_at=now() - timedelta(hours=4))
    assert _level() is Level.OK
    record()
    chain.chain_all()
    assert _level() is Level.WARNING
