"""Thresholds with a promise: an upper confidence bound on errors, not the rate that happened to be seen.

Clopper and Pearson (1934), “The use of confidence or fiducial limits illustrated in the case of the binomial”: the
exact interval. Testing thresholds from the strictest down and stopping at the first that fails keeps the promise over
all of them without a correction: fixed-sequence testing in Angelopoulos et al. (2021), “Learn then Test”,
arXiv:2110.01052. An early error would end the only walk, so there are three, which share the doubt between them (their
“fallback procedure”): each begins where so many hits could hold so many errors.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Final

_WALKS: Final = ((0, 0.7), (2, 0.2), (6, 0.1))  # errors that a walk may begin with, and its share of the doubt


def calibrated_threshold(
    scores: Sequence[tuple[float, bool]], *, error_target: float, confidence: float
) -> float | None:
    """The lowest threshold whose hits are wrong at most `error_target` of the time, with `confidence`; else None.

    `scores` are (score, whether serving would have been right), independent of each other. A hit is score >= threshold.
    """
    _check(error_target, confidence)
    steps = _steps(scores)
    found = [
        value
        for errors, share in _WALKS
        if (value := _walk(steps, errors, error_target, 1 - (1 - confidence) * share)) is not None
    ]
    return min(found, default=None)


def threshold_for_traps(scores: Sequence[tuple[float, bool]], *, rate_target: float, confidence: float) -> float | None:
    """Like calibrated_threshold, but bounds the share of pairs that must not be served, whatever the share of hits."""
    _check(rate_target, confidence)
    traps = sum(not right for _score, right in scores)
    best = None
    for value, _hits, wrong in _steps(scores):
        if not keeps(wrong, traps, rate_target, confidence):
            break
        best = value
    return best


def upper_bound(errors: int, trials: int, *, confidence: float) -> float:
    """Clopper and Pearson's one-sided upper bound of a rate, seen `errors` times in `trials`; 1 of no trials."""
    if trials <= 0 or errors >= trials:
        return 1.0
    low, high = errors / trials, 1.0
    for _step in range(50):
        middle = (low + high) / 2
        if _at_most(errors, trials, middle) > 1 - confidence:
            low = middle
        else:
            high = middle
    return high


def wilson(successes: float, trials: int, *, z: float = 1.96) -> tuple[float, float]:
    """Wilson's score interval (1927) of a rate, 95 % by default; (0, 1) when nothing was seen."""
    if trials <= 0:
        return 0.0, 1.0
    rate, square = successes / trials, z * z
    centre = rate + square / (2 * trials)
    spread = z * math.sqrt(rate * (1 - rate) / trials + square / (4 * trials * trials))
    return max(0.0, (centre - spread) / (1 + square / trials)), min(1.0, (centre + spread) / (1 + square / trials))


def _walk(steps: Sequence[tuple[float, int, int]], errors: int, target: float, confidence: float) -> float | None:
    """The last threshold of a walk that begins with the fewest hits that may hold so many errors."""
    best = None
    for value, hits, wrong in steps:
        if best is None and not keeps(errors, hits, target, confidence):
            continue
        if not keeps(wrong, hits, target, confidence):
            break
        best = value
    return best


def _steps(scores: Sequence[tuple[float, bool]]) -> list[tuple[float, int, int]]:
    """Every distinct score from the highest down, with the hits and the wrong hits it would give."""
    steps: list[tuple[float, int, int]] = []
    wrong = 0
    for hits, (score, right) in enumerate(sorted(scores, key=lambda each: -each[0]), 1):
        wrong += not right
        if steps and steps[-1][0] == score:
            steps.pop()
        steps.append((score, hits, wrong))
    return steps


def keeps(errors: int, trials: int, target: float, confidence: float) -> bool:
    """Whether upper_bound(errors, trials) <= target, without looking for the bound itself."""
    return errors < trials and _at_most(errors, trials, target) <= 1 - confidence


def _at_most(errors: int, trials: int, rate: float) -> float:
    """The chance of seeing at most so many errors."""
    if rate <= 0:
        return 1.0
    if rate >= 1:
        return 0.0
    logs = (
        math.lgamma(trials + 1) - math.lgamma(k + 1) - math.lgamma(trials - k + 1)
        + k * math.log(rate) + (trials - k) * math.log1p(-rate)
        for k in range(errors + 1)
    )  # fmt: skip
    return min(1.0, sum(math.exp(each) for each in logs))


def _check(target: float, confidence: float) -> None:
    if not 0 < target < 1 or not 0 < confidence < 1:
        raise ValueError("The target and the confidence lie between 0 and 1.")
