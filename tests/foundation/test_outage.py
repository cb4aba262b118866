"""What is away is asked for by one at a time."""

from __future__ import annotations

import time

import pytest

from foundation.outage import Outage
from tests.tasks.threads import at_once


@pytest.fixture
def outage() -> Outage:
    return Outage(quiet_seconds=60, patience_seconds=60)


def test_what_is_there_is_asked_by_all(outage: Outage) -> None:
    assert at_once(lambda _n: outage.may_ask(), 8) == [True] * 8


def test_after_a_failure_nobody_asks_and_then_one_does(outage: Outage) -> None:
    outage.failed()
    assert at_once(lambda _n: outage.may_ask(), 8) == [False] * 8
    outage._quiet_until = time.monotonic()
    assert at_once(lambda _n: outage.may_ask(), 8).count(True) == 1
    outage.answered()
    assert at_once(lambda _n: outage.may_ask(), 8) == [True] * 8


def test_who_asks_and_does_not_come_back_is_followed_by_another(outage: Outage) -> None:
    outage.failed()
    outage._quiet_until = time.monotonic()
    assert outage.may_ask()
    assert not outage.may_ask()
    outage._quiet_until = time.monotonic()
    assert outage.may_ask()
