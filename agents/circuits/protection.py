"""The installation's circuit breakers: one for everything that calls go to, by key (`deployment:<id>`)."""

from __future__ import annotations

from datetime import UTC, datetime

import structlog
from django.db import Error as AnyDatabaseError

from agents.circuits.models import CircuitChange, ForcedCircuit
from foundation.breakers import CircuitOpen, Circuits, Permission, Transition
from foundation.circuit_rules import Policy
from foundation.remembered import Remembered
from telemetry import metrics

__all__ = ["CircuitOpen", "Permission", "circuits", "forget", "permit"]

logger = structlog.get_logger(__name__)
LONGEST_WHY = 500
POLICY = Policy()
# The last that calendars know, in every time zone.
LATEST = datetime(9999, 12, 30, tzinfo=UTC).timestamp()
_last_held: dict[str, str] = {}


def _held() -> dict[str, str]:
    """What operators hold. Without the database what was known of it: a call is not refused for that."""
    global _last_held
    try:
        _last_held = dict(ForcedCircuit.objects.values_list("key", "state"))
    except AnyDatabaseError as error:
        logger.warning("held_circuits_not_read", error=str(error))
    return _last_held


def _write(transition: Transition) -> None:
    """A row for every step, by the process that took it."""
    _count(transition)
    CircuitChange.objects.create(
        key=transition.key, at=moment(transition.at), before=transition.before, after=transition.after,
        why=transition.why[:LONGEST_WHY],
        opens_until=moment(transition.opens_until) if transition.opens_until else None,
    )  # fmt: skip


@metrics.harmless
def _count(transition: Transition) -> None:
    metrics.CIRCUIT_CHANGES.labels(transition.key.partition(":")[0], transition.after).inc()


def moment(seconds: float) -> datetime:
    """Of seconds since 1970; the last there is for what is beyond all calendars: one such must not hide the others."""
    return datetime.fromtimestamp(min(max(seconds, 0.0), LATEST), UTC)


_forced = Remembered(_held)
_circuits = Circuits(forced=_forced, listener=_write)


def circuits() -> Circuits:
    """All of them."""
    return _circuits


def permit(key: str, *, seconds: float | None = None) -> Permission:
    """The right to call what this key protects, now. Raises CircuitOpen.

    `seconds` is how long the call may take at most: if it is a probe, no other goes through for so long (a minute at
    most), unless it is back or being answered before.
    """
    return _circuits.allow(key, POLICY, seconds=seconds)


def forget() -> None:
    """What operators hold, and how breakers stand, is asked anew by this process."""
    _forced.forget()
    _circuits.forget()
