"""What is learned about the semantic tier of an agent: trials, the error bound they give, and the threshold that
follows.

A trial is one look at whether an entry's answer was right for a question. Hits are looked at by asking again
(`agents.cache.shadowing`), near misses by a judge, and people say so themselves. Every trial is followed by a new
threshold: the least one at which the upper confidence bound of wrong answers among those served stays within what is
put up with. Where there is none, and where too many of the hits that were asked again have been wrong whatever their
scores, the tier turns itself off for the agent and says why.
"""

from __future__ import annotations

import uuid
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final, NamedTuple

import structlog
from django.conf import settings
from django.db import transaction
from django.db.models import Q, QuerySet
from django.utils import timezone

from accounts import audit
from accounts.audit import Actor
from agents.cache import thresholds
from agents.cache.bounds import CONFIDENCE, chosen_threshold, is_broken, trials_for
from agents.cache.meaning import meaning
from agents.cache.models import Calibration, Trial
from agents.cache.semantic.calibration import upper_bound
from telemetry import metrics

logger = structlog.get_logger(__name__)

# Older ones say little about today's questions.
MOST_TRIALS: Final = 1_000
LABELLED: Final = Q(source=Trial.Source.LABELLED)


@dataclass(frozen=True, slots=True)
class Seen:
    """What one look found."""

    agent_id: uuid.UUID
    kind: str
    entry_id: uuid.UUID
    score: float
    is_right: bool
    source: Trial.Source
    was_served: bool
    similarity: float | None = None
    call_id: uuid.UUID | None = None


class _Look(NamedTuple):
    score: float
    is_right: bool
    source: str


def learn(seen: Seen, *, error_target: float | None = None) -> Calibration:
    """Writes the trial and what follows from it."""
    target = settings.CACHE_ERROR_TARGET if error_target is None else error_target
    _count(seen)
    with transaction.atomic():
        calibration = _locked(seen.agent_id, seen.kind, target)
        Trial.objects.create(
            calibration=calibration, entry_id=seen.entry_id, call_id=seen.call_id,
            score=min(max(seen.score, 0.0), 1.0), similarity=seen.similarity, was_served=seen.was_served,
            is_right=seen.is_right, source=seen.source,
        )  # fmt: skip
        _recalibrate(calibration, target)
    return calibration


def learn_pairs(
    *, agent_id: uuid.UUID, kind: str, pairs: Sequence[tuple[float, bool]], error_target: float | None
) -> Calibration:
    """Takes labelled pairs, `(score, whether one answer serves both)`, in the place of those that there were."""
    target = settings.CACHE_ERROR_TARGET if error_target is None else error_target
    with transaction.atomic():
        calibration = _locked(agent_id, kind, target)
        calibration.seen.filter(LABELLED).delete()
        Trial.objects.bulk_create(
            Trial(
                calibration=calibration, score=score, is_right=is_right, was_served=False, source=Trial.Source.LABELLED
            )
            for score, is_right in pairs[-MOST_TRIALS:]
        )  # fmt: skip
        _recalibrate(calibration, target)
    return calibration


def kinds_with_pairs(agent_id: uuid.UUID) -> set[str]:
    """The kinds of which the agent was given labelled pairs, under the verifier in use."""
    given = Trial.objects.filter(LABELLED, calibration__agent_id=agent_id, calibration__verifier=meaning().verifier())
    return {*given.values_list("calibration__kind", flat=True)}


def start_anew(*, calibration: Calibration, actor: Actor) -> None:
    """Forgets the trials: the verifier's own threshold counts again, and the tier is on."""
    with transaction.atomic():
        row = Calibration.objects.select_for_update().get(pk=calibration.pk)
        before = {"threshold": row.threshold, "is_off": row.is_off, "trials": row.trials, "errors": row.errors}
        row.seen.all().delete()
        _recalibrate(row, row.error_target)
        after = {"threshold": row.threshold, "is_off": row.is_off, "trials": 0, "errors": 0}
        audit.record(verb="cache.start_anew", actor=actor, subject=row, changes=audit.difference(before, after))


def _locked(agent_id: uuid.UUID, kind: str, target: float) -> Calibration:
    """The agent's row under the verifier in use, made when there is none, and nobody else's until the end."""
    which = {"agent_id": agent_id, "kind": kind, "verifier": meaning().verifier()}
    usual = {"error_target": target, "threshold": meaning().threshold(target, kind)}
    Calibration.objects.get_or_create(**which, defaults=usual)
    return Calibration.objects.select_for_update().get(**which)


def _recalibrate(calibration: Calibration, target: float) -> None:
    usual = meaning().threshold(target, calibration.kind)
    called, was_off = _newest(calibration.seen.exclude(LABELLED)), calibration.is_off
    found = [*_newest(calibration.seen.filter(LABELLED)), *called]
    # People tell of wrong answers alone, of whichever they like: what they say is no share of anything.
    asked_again = [each.is_right for each in called if each.source == Trial.Source.SHADOW]
    calibration.trials, calibration.errors = len(asked_again), asked_again.count(False)
    threshold = _threshold(found, calibration, usual=usual, target=target)
    calibration.error_target, calibration.threshold = target, usual if threshold is None else threshold
    calibration.is_off = threshold is None
    calibration.bound = _bound(calibration, found, usual=usual)
    calibration.changed_at = timezone.now()
    calibration.save()
    transaction.on_commit(thresholds.learned.forget)
    if calibration.is_off and not was_off:
        logger.warning("semantic_cache_turned_off", agent_id=str(calibration.agent_id), errors=calibration.errors)


def _threshold(found: Sequence[_Look], calibration: Calibration, *, usual: float, target: float) -> float | None:
    if is_broken(calibration.errors, calibration.trials, target=target):
        return None
    return chosen_threshold([(each.score, each.is_right) for each in found], usual=usual, target=target)


def _bound(calibration: Calibration, found: Sequence[_Look], *, usual: float) -> float:
    """Of the answers that are given from now on; of those that were given, where none are any more."""
    known = trials_for(calibration.error_target) if calibration.threshold >= usual else 0
    errors, looks = calibration.errors, calibration.trials
    if not calibration.is_off:
        above = [each.is_right for each in found if each.score >= calibration.threshold]
        errors, looks = above.count(False), len(above)
    return upper_bound(errors, looks + known, confidence=CONFIDENCE)


def _newest(trials: QuerySet[Trial]) -> list[_Look]:
    """MOST_TRIALS of them; those before are deleted. Labelled ones are counted for themselves, so that neither they nor
    what calls have taught push the other out.
    """
    beyond = trials.order_by("-at").values_list("at", flat=True)[MOST_TRIALS : MOST_TRIALS + 1]
    for at in [*beyond]:
        trials.filter(at__lte=at).delete()
    return [_Look(*row) for row in trials.values_list("score", "is_right", "source")]


@metrics.harmless
def _count(seen: Seen) -> None:
    metrics.CACHE_TRIALS.labels(str(seen.source), "right" if seen.is_right else "wrong").inc()
