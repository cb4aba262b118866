"""What so many trials say about errors."""

from __future__ import annotations

import random
from functools import partial
from typing import Any

import pytest

from agents.cache.bounds import CONFIDENCE, chosen_threshold, is_broken, trials_for
from agents.cache.semantic import calibration

upper_bound = partial(calibration.upper_bound, confidence=CONFIDENCE)


@pytest.mark.parametrize(
    ("errors", "trials", "bound"),
    [(0, 299, 0.00997), (0, 10, 0.2589), (1, 100, 0.0466), (5, 100, 0.1023), (0, 0, 1.0), (3, 3, 1.0)],
)
def test_the_bound_is_that_of_the_tables(errors: int, trials: int, bound: float) -> None:
    assert upper_bound(errors, trials) == pytest.approx(bound, abs=1e-4)


def test_299_trials_without_an_error_are_needed_for_one_percent() -> None:
    assert trials_for(0.01) == 299


def test_nothing_seen_leaves_the_usual_threshold() -> None:
    assert chosen_threshold([], usual=0.9, target=0.01) == 0.9


def test_an_error_moves_the_threshold_above_it() -> None:
    found = chosen_threshold([(0.93, False), *[(0.95, True)] * 20], usual=0.9, target=0.01)
    assert found is not None
    assert 0.93 < found <= 0.95


def test_an_error_is_outweighed_by_many_that_were_right() -> None:
    assert chosen_threshold([(0.93, False), *[(0.95, True)] * 300], usual=0.9, target=0.01) == 0.9


def test_errors_at_the_highest_score_leave_no_threshold() -> None:
    assert chosen_threshold([(1.0, False)] * 3, usual=0.9, target=0.01) is None


def test_below_the_usual_threshold_only_what_was_seen_counts() -> None:
    few, many = [(0.8, True)] * 100, [(0.8, True)] * 299
    assert chosen_threshold(few, usual=0.9, target=0.01) == 0.9
    assert chosen_threshold(many, usual=0.9, target=0.01) == 0.8


@pytest.mark.parametrize(
    ("errors", "looks", "target", "broken"),
    [(0, 0, 0.01, False), (3, 3, 0.01, False), (4, 4, 0.01, True), (4, 101, 0.01, False), (12, 1_000, 0.01, False),
     (13, 1_000, 0.01, True), (3, 3, 0.05, False), (4, 4, 0.05, True)],
)  # fmt: skip
def test_too_many_errors_break_the_bound_whatever_their_scores(
    errors: int, looks: int, target: float, broken: Any
) -> None:
    assert is_broken(errors, looks, target=target) is broken


def test_a_verifier_that_keeps_its_promise_is_seldom_thought_broken() -> None:
    """Of two hundred agents with half the errors that are put up with, at every one of a thousand looks."""
    chance = random.Random(11)

    def breaks() -> bool:
        errors = 0
        for looks in range(1, 1_001):
            errors += chance.random() < 0.005
            if is_broken(errors, looks, target=0.01):
                return True
        return False

    assert sum(breaks() for _agent in range(200)) <= 10


def test_the_bound_holds_in_nineteen_of_twenty_worlds() -> None:
    chance = random.Random(7)
    held = sum(
        upper_bound(sum(chance.random() < 0.03 for _trial in range(200)), 200) >= 0.03 for _world in range(1_000)
    )
    assert held >= 930
