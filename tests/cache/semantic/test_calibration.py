"""Thresholds that keep a promise."""

from __future__ import annotations

import random

import pytest

from agents.cache.semantic.calibration import calibrated_threshold, threshold_for_traps, upper_bound, wilson

pytestmark = pytest.mark.embedded


def test_the_bound_is_the_exact_one() -> None:
    assert upper_bound(0, 299, confidence=0.95) == pytest.approx(1 - 0.05 ** (1 / 299), abs=1e-6)
    assert upper_bound(1, 10, confidence=0.95) == pytest.approx(0.3942, abs=1e-3)
    assert upper_bound(0, 0, confidence=0.95) == upper_bound(5, 5, confidence=0.95) == 1.0


def test_too_few_hits_give_no_threshold() -> None:
    assert calibrated_threshold([(0.9, True)] * 50, error_target=0.01, confidence=0.95) is None
    assert calibrated_threshold([], error_target=0.01, confidence=0.95) is None


def test_the_lowest_threshold_that_keeps_the_promise_is_found() -> None:
    scores = [(0.9, True)] * 400 + [(0.5, True)] * 100 + [(0.2, False)] * 100
    assert calibrated_threshold(scores, error_target=0.01, confidence=0.95) == 0.5


def test_equal_scores_stand_and_fall_together() -> None:
    scores = [(0.9, True)] * 400 + [(0.5, True)] * 10 + [(0.5, False)] * 10
    assert calibrated_threshold(scores, error_target=0.01, confidence=0.95) == 0.9


def test_the_promise_is_kept_in_nine_draws_of_ten() -> None:
    """Scores whose error grows below 0.6; the true error above a threshold is known."""
    broken = found_any = 0
    for seed in range(100):
        chance = random.Random(seed)
        scores = [(score, chance.random() > (0.002 if score > 0.6 else 0.2)) for score in
                  (chance.random() for _each in range(1500))]  # fmt: skip
        found = calibrated_threshold(scores, error_target=0.02, confidence=0.9)
        if found is None:
            continue
        found_any += 1
        low = max(0.0, 0.6 - found)
        broken += (low * 0.2 + 0.4 * 0.002) / (low + 0.4) > 0.02 if found < 0.6 else False
    assert found_any >= 60
    assert broken <= found_any / 10


def test_the_share_of_traps_is_bounded_too() -> None:
    scores = [(0.9, True)] * 10 + [(0.8, False)] + [(0.7, True)] * 10 + [(0.1, False)] * 499
    assert threshold_for_traps(scores, rate_target=0.01, confidence=0.9) == 0.7
    assert threshold_for_traps(scores[:5], rate_target=0.01, confidence=0.9) is None


@pytest.mark.parametrize(("target", "confidence"), [(0, 0.9), (1, 0.9), (0.1, 0), (0.1, 1)])
def test_a_promise_of_nothing_or_everything_is_refused(target: float, confidence: float) -> None:
    with pytest.raises(ValueError, match="between 0 and 1"):
        calibrated_threshold([(0.5, True)], error_target=target, confidence=confidence)


def test_wilsons_interval_is_as_published() -> None:
    assert wilson(0, 0) == (0.0, 1.0)
    assert wilson(5, 50) == pytest.approx((0.0435, 0.2136), abs=1e-3)
