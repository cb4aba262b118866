"""How long a call waits before it asks the same deployment again."""

from __future__ import annotations

import pytest

from agents.gateway.exceptions import (
    AllDeploymentsOpen,
    GatewayError,
    ModelRateLimited,
    ModelUnauthorized,
    ModelUnavailable,
)
from agents.gateway.picking import LONGEST_PAUSE_SECONDS, LONGEST_RETRY_AFTER, pause_after

DRAWN = 300


def _drawn(error: GatewayError, tries: int) -> list[float]:
    pauses = [pause_after(error, tries) for _time in range(DRAWN)]
    found = [each for each in pauses if each is not None]
    assert len(found) == DRAWN
    return found


@pytest.mark.parametrize(
    ("tries", "whole"),
    [(1, 0.2), (2, 0.4), (3, 0.8), (5, 3.2), (6, LONGEST_PAUSE_SECONDS), (60, LONGEST_PAUSE_SECONDS)],
)
def test_a_pause_grows_with_every_try_up_to_the_longest_and_half_of_it_is_left_to_chance(
    tries: int, whole: float
) -> None:
    found = _drawn(ModelUnavailable(), tries)
    assert whole / 2 <= min(found) < 0.6 * whole
    assert 0.9 * whole < max(found) <= whole
    assert len(set(found)) > DRAWN / 2


@pytest.mark.parametrize("seconds", [0.0, 0.3, LONGEST_RETRY_AFTER])
def test_what_the_provider_asks_for_is_kept_to_and_spread_a_little(seconds: float) -> None:
    found = _drawn(ModelRateLimited(retry_after=seconds), 4)
    assert seconds < min(found) <= max(found) <= 1.1 * seconds + 0.01 + 1e-9
    assert len(set(found)) > DRAWN / 2 or not seconds


@pytest.mark.parametrize(
    "error",
    [
        ModelRateLimited(retry_after=LONGEST_RETRY_AFTER + 0.001), ModelUnauthorized(),
        AllDeploymentsOpen(retry_after=0.1),
    ],
)  # fmt: skip
def test_what_takes_too_long_or_never_heals_is_not_waited_for(error: GatewayError) -> None:
    assert pause_after(error, 1) is None
