"""Calibrating an agent's semantic tier by labelled pairs of its own field, before anybody has asked it anything."""

from __future__ import annotations

from collections.abc import Sequence

from django.db import transaction

from accounts import audit
from accounts.audit import Actor
from agents.cache import learning
from agents.cache.models import Calibration
from agents.cache.semantic.evaluation import Scored
from agents.definitions.cache_policy import CachePolicy
from agents.definitions.models import Agent


def calibrate(
    *, agent: Agent, scored: Sequence[Scored], actor: Actor, error_target: float | None = None
) -> list[Calibration]:
    """Makes labelled pairs trials of this agent, in the place of those that it was given before; what has been learned
    of its hits stays. Gives a calibration for each kind of pair that there is or was.

    Without `error_target` the agent's own counts. Of the usable pairs of a kind the last learning.MOST_TRIALS do.
    """
    target = _target_of(agent) if error_target is None else error_target
    done, usable = [], usable_pairs(scored)
    with transaction.atomic():
        for kind in sorted({each.kind for each in scored} | learning.kinds_with_pairs(agent.pk)):
            pairs = [(_mean(each), each.pair.same_answer) for each in usable if each.kind == kind]
            done.append(learning.learn_pairs(agent_id=agent.pk, kind=kind, pairs=pairs, error_target=target))
        changes = {
            row.kind: {"threshold": row.threshold, "is_off": row.is_off, "trials": row.trials, "errors": row.errors}
            for row in done
        }
        audit.record(verb="cache.calibrate", actor=actor, subject=agent, changes=changes)
    return done


def usable_pairs(scored: Sequence[Scored]) -> list[Scored]:
    """Without those that a guard refuses, which say nothing of a threshold."""
    return [each for each in scored if not each.blocked_by]


def _target_of(agent: Agent) -> float | None:
    version = agent.current_version
    return CachePolicy.of(version.cache if version is not None else {}).error_target


def _mean(scored: Scored) -> float:
    return sum(scored.scores) / len(scored.scores)
