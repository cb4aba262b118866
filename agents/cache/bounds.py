"""How many errors there may be, as far as so many trials can tell.

The bound is that of `agents.cache.semantic.calibration`. That a threshold is chosen by such a bound, and looked at
again with every trial, is the idea of vCache (Schroeder et al., “vCache: Verified Semantic Prompt Caching”, ICLR 2026).
"""

from __future__ import annotations

import math
from bisect import bisect_left
from collections.abc import Sequence
from typing import Final

from agents.cache.semantic.calibration import keeps

CONFIDENCE: Final = 0.95


def trials_for(target: float, *, confidence: float = CONFIDENCE) -> int:
    """How many trials without an error it takes before the bound is at the target."""
    return math.ceil(math.log(1 - confidence) / math.log1p(-target))


def is_broken(errors: int, looks: int, *, target: float) -> bool:
    """Whether more than the target of the hits that were drawn by lot and asked again have been wrong, though the
    verifier's own calibration is counted with them as looks without an error.

    A single error does not break it: one in a hundred is what is put up with. A verifier whose scores mean nothing for
    an agent breaks it with the fourth at a target of 1 %.
    """
    return errors > target * (looks + trials_for(target))


def chosen_threshold(
    trials: Sequence[tuple[float, bool]], *, usual: float, target: float, confidence: float = CONFIDENCE
) -> float | None:
    """The least score from which on answers may be served, by `(score, was right)` of what was looked at; None when
    there is none.

    From the verifier's `usual` threshold on, its own calibration counts as many trials without an error as it takes to
    reach the target; below it, only what was seen here does.
    """
    known = trials_for(target, confidence=confidence)
    every, wrong = sorted(score for score, _right in trials), sorted(score for score, right in trials if not right)
    for threshold in _candidates(trials, usual):
        seen, errors = len(every) - bisect_left(every, threshold), len(wrong) - bisect_left(wrong, threshold)
        counted = seen + (known if threshold >= usual else 0)
        if keeps(errors, counted, target, confidence):
            return threshold
    return None


def _candidates(trials: Sequence[tuple[float, bool]], usual: float) -> list[float]:
    """The usual one, and what lies just above each error and at each score; the least first, at most 1."""
    above = {math.nextafter(score, 2.0) for score, is_right in trials if not is_right}
    scores = {score for score, is_right in trials if is_right}
    return sorted(each for each in {usual, *above, *scores} if each <= 1.0)
