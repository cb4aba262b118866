"""What people do with circuit breakers, and how these stand."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime

from django.db import transaction

from accounts import audit
from accounts.audit import Actor
from agents.circuits import protection
from agents.circuits.directory import Protected, everything, find
from agents.circuits.exceptions import NotForced
from agents.circuits.models import ForcedCircuit, State
from agents.circuits.protection import moment
from foundation.circuit_rules import Circuit

LONGEST_REASON = 500


@dataclass(frozen=True, slots=True)
class Standing:
    """How a breaker stands. `until`: when an open one lets a probe through; `failures` of `calls` in its window.

    `forced` is the state in which an operator holds it, or empty.
    """

    protected: Protected
    state: str
    why: str
    since: datetime | None
    until: datetime | None
    failures: int
    calls: int
    forced: str = ""
    forced_reason: str = ""


def standings() -> list[Standing]:
    """Of all that is protected: two queries and one question to Redis."""
    return _standings(everything())


def states_of(keys: Sequence[str]) -> dict[str, str]:
    """In which state each is, held there or by itself: one query and one question to Redis."""
    held = dict(ForcedCircuit.objects.filter(key__in=keys).values_list("key", "state"))
    return {key: held.get(key, circuit.state) for key, circuit in protection.circuits().states(keys).items()}


def standing_of(key: str) -> Standing:
    """Of one. Raises UnknownCircuit."""
    return _standings([find(key)])[0]


def _standings(protected: Sequence[Protected]) -> list[Standing]:
    states = protection.circuits().states([each.key for each in protected])
    forced = {row.key: row for row in ForcedCircuit.objects.filter(key__in=[each.key for each in protected])}
    return [_standing(each, states[each.key], forced.get(each.key)) for each in protected]


def _standing(protected: Protected, circuit: Circuit, forced: ForcedCircuit | None) -> Standing:
    is_open = circuit.state == State.OPEN and forced is None
    return Standing(
        protected=protected, state=forced.state if forced else circuit.state, why=circuit.why,
        since=moment(circuit.since) if circuit.since else None, until=moment(circuit.until) if is_open else None,
        failures=circuit.failures, calls=circuit.calls,
        forced=forced.state if forced else "", forced_reason=forced.reason if forced else "",
    )  # fmt: skip


def force(*, key: str, state: str, reason: str, actor: Actor) -> Standing:
    """Holds it open (nothing is sent) or closed (everything is), until it is released. Seen everywhere within a second
    or two. Raises UnknownCircuit.
    """
    protected = find(key)
    with transaction.atomic():
        row, _is_new = ForcedCircuit.objects.update_or_create(
            key=key,
            defaults={"state": state, "reason": reason[:LONGEST_REASON], "forced_by_id": actor.user_id},
        )
        changes = {"circuit": key, "name": protected.name, "state": state, "reason": row.reason}
        audit.record(verb="circuit.force", actor=actor, subject=row, changes=changes)
    protection.forget()
    return _standings([protected])[0]


def release(*, key: str, actor: Actor) -> Standing:
    """Lets it decide by itself again, beginning closed. Raises UnknownCircuit, NotForced."""
    protected = find(key)
    with transaction.atomic():
        row = ForcedCircuit.objects.select_for_update().filter(key=key).first()
        if row is None:
            raise NotForced
        audit.record(verb="circuit.release", actor=actor, subject=row, changes={"circuit": key, "name": protected.name})
        row.delete()
    protection.circuits().reset(key)
    protection.forget()
    # Not looked for again: of a model without a deployment the hold may have been all that was known.
    return _standings([protected])[0]
