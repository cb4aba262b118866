"""From which score on an agent's answers are given to other questions."""

from __future__ import annotations

import uuid
from dataclasses import dataclass

from django.conf import settings

from agents.cache.meaning import meaning
from agents.cache.models import Calibration
from foundation.remembered import Remembered


@dataclass(frozen=True, slots=True)
class Threshold:
    """`is_off`: the error bound is broken, so nothing is given by meaning until somebody looks at it."""

    value: float
    is_off: bool = False


@dataclass(frozen=True, slots=True)
class _Learned:
    value: float
    is_off: bool
    error_target: float


def _learned() -> dict[tuple[uuid.UUID, str, str], _Learned]:
    rows = Calibration.objects.values_list("agent_id", "verifier", "kind", "threshold", "is_off", "error_target")
    return {
        (agent_id, verifier, kind): _Learned(value, is_off, error_target)
        for agent_id, verifier, kind, value, is_off, error_target in rows
    }


# What other processes learn counts here a moment later.
learned = Remembered(_learned)


def threshold_of(agent_id: uuid.UUID, kind: str, error_target: float | None = None) -> Threshold:
    """What has been learned for requests of this kind to this agent under the verifier in use; else the verifier's own
    for this share of errors (None: the installation's), which also counts where less is put up with than when it was
    learned.
    """
    target = settings.CACHE_ERROR_TARGET if error_target is None else error_target
    usual, found = meaning().threshold(target, kind), learned().get((agent_id, meaning().verifier(), kind))
    if found is None:
        return Threshold(usual)
    return Threshold(max(found.value, usual) if target < found.error_target else found.value, found.is_off)
