"""How long a call keeps its place at a deployment, and that of a probe: as long as it may take, and no longer."""

from __future__ import annotations

import time
from collections.abc import Iterator
from typing import Any

import pytest

from agents.circuits import protection
from agents.gateway import picking, routing
from agents.gateway.exceptions import AllDeploymentsOpen, ModelRateLimited, ModelTimeout
from agents.gateway.guarding import Leaving
from agents.gateway.models import ModelCall
from agents.gateway.picking import Picked, Picker
from foundation.breakers import Circuits
from foundation.capacity import LEASE_SECONDS, Capacity
from foundation.circuit_rules import CLOSED, OPEN, Circuit
from foundation.loads import LocalLoads
from foundation.shared_state import LocalStore
from tests.foundation.breaking import Clock
from tests.gateway.conftest import Model
from tests.gateway.routes import deployment, route
from tests.upstream.client import Upstream

pytestmark = pytest.mark.django_db

DEADLINE = 2000.0
SHORT_DEADLINE = 5.0


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> Clock:
    """That of places and of breakers; the calls go by their own."""
    clock = Clock()
    monkeypatch.setattr(picking, "capacity", Capacity(loads=LocalLoads(clock)))
    monkeypatch.setattr(protection, "_circuits", Circuits(store=LocalStore(clock), fresh_seconds=0))
    monkeypatch.setattr(picking, "LONGEST_FULL_SECONDS", 0.0)
    monkeypatch.setattr(picking, "LONGEST_RETRY_AFTER", 0.0)
    return clock


def _picked(target: str, seconds: float = DEADLINE) -> Picked:
    """Where a call goes that has so much time. It is never heard of again, as if its process had died."""
    ends = time.monotonic() + seconds
    return Picker(routing.find(target), ends=ends, leaving=Leaving(), has_cost_limit=False).next()


def _places(target: str) -> int:
    (only,) = routing.find(target).deployments
    return picking.capacity.load(only.key).places


@pytest.fixture
def narrow() -> str:
    """A route to one deployment, which takes one call at a time."""
    return route("narrow", deployment("narrow", most_concurrent=1), deadline_seconds=DEADLINE)


@pytest.fixture
def without_lease(monkeypatch: pytest.MonkeyPatch) -> None:
    """Takes away that a place is kept for as long as its call may take."""
    enter = Capacity.enter
    monkeypatch.setattr(Capacity, "enter", lambda self, key, caps, **_lease: enter(self, key, caps))


@pytest.fixture
def without_time(monkeypatch: pytest.MonkeyPatch) -> None:
    """Takes away that a breaker is told how long a call may take."""
    permit = protection.permit
    monkeypatch.setattr(protection, "permit", lambda key, **_seconds: permit(key))


def _stream(target: str, model: Model) -> Iterator[Any]:
    stream: Iterator[Any] = model(target).stream("hi")
    next(stream)
    return stream


def test_a_long_stream_keeps_its_place(upstream: Upstream, model: Model, narrow: str, clock: Clock) -> None:
    stream = _stream(narrow, model)
    clock.now += DEADLINE
    assert _places(narrow) == 1
    with pytest.raises(ModelRateLimited):
        model(narrow).invoke("hi")
    assert len(upstream.requests()) == 1
    assert "".join(piece.text for piece in stream)
    assert _places(narrow) == 0


@pytest.mark.usefixtures("upstream", "without_lease")
def test_with_a_lease_of_its_own_the_place_would_be_lost(model: Model, narrow: str, clock: Clock) -> None:
    """The control."""
    stream = _stream(narrow, model)
    clock.now += LEASE_SECONDS
    assert _places(narrow) == 0
    assert "".join(piece.text for piece in stream)


def test_the_place_of_a_call_that_died_is_free_when_its_time_is_over(narrow: str, clock: Clock) -> None:
    _picked(narrow, SHORT_DEADLINE)
    clock.now += SHORT_DEADLINE
    with pytest.raises(ModelRateLimited):
        _picked(narrow, SHORT_DEADLINE)
    clock.now += picking.LEASE_SECONDS_MORE
    assert _picked(narrow, SHORT_DEADLINE).slot is not None


@pytest.mark.usefixtures("without_lease")
def test_with_a_lease_of_its_own_the_place_would_stay_taken(narrow: str, clock: Clock) -> None:
    """The control."""
    _picked(narrow, SHORT_DEADLINE)
    clock.now += SHORT_DEADLINE + picking.LEASE_SECONDS_MORE
    with pytest.raises(ModelRateLimited):
        _picked(narrow, SHORT_DEADLINE)


@pytest.fixture
def broken(clock: Clock) -> str:
    """A route to one deployment, whose open breaker lets a probe through now."""
    target = route("broken", deployment("broken"))
    del clock
    (only,) = routing.find(target).deployments
    protection.circuits().take(only.key, lambda _it, now: Circuit(state=OPEN, since=now, until=now, openings=1))
    return target


def _state(target: str) -> Circuit:
    (only,) = routing.find(target).deployments
    return protection.circuits().states([only.key])[only.key]


def test_while_a_probe_may_come_back_no_other_goes_through(broken: str, clock: Clock) -> None:
    probe = _picked(broken)
    clock.now += protection.POLICY.longest_probe - 1
    assert protection.POLICY.probe_seconds < protection.POLICY.longest_probe - 1 < DEADLINE
    with pytest.raises(AllDeploymentsOpen):
        _picked(broken)
    probe.permission.succeeded()
    assert _state(broken).state == CLOSED
    _picked(broken)


def test_a_probe_that_never_comes_back_is_not_waited_for_as_long_as_a_long_call_may_take(
    broken: str, clock: Clock
) -> None:
    _picked(broken)
    clock.now += protection.POLICY.longest_probe
    _picked(broken).permission.succeeded()
    assert _state(broken).state == CLOSED


@pytest.mark.usefixtures("without_time")
def test_without_its_calls_time_a_second_probe_would_go_through(broken: str, clock: Clock) -> None:
    """The control."""
    _picked(broken)
    clock.now += protection.POLICY.probe_seconds
    _picked(broken)
    assert len(_state(broken).probes) == 2


def test_a_probe_that_never_comes_back_is_given_up_when_its_time_is_over(broken: str, clock: Clock) -> None:
    _picked(broken, SHORT_DEADLINE)
    with pytest.raises(AllDeploymentsOpen):
        _picked(broken, SHORT_DEADLINE)
    clock.now += SHORT_DEADLINE
    assert protection.POLICY.probe_seconds > SHORT_DEADLINE
    _picked(broken, SHORT_DEADLINE).permission.succeeded()
    assert _state(broken).state == CLOSED


@pytest.mark.usefixtures("without_time")
def test_without_its_calls_time_a_lost_probe_would_be_waited_for(broken: str, clock: Clock) -> None:
    """The control."""
    _picked(broken, SHORT_DEADLINE)
    clock.now += SHORT_DEADLINE
    with pytest.raises(AllDeploymentsOpen):
        _picked(broken, SHORT_DEADLINE)


def test_a_call_whose_time_is_over_before_it_began_speaks_against_nobody(
    upstream: Upstream, model: Model, narrow: str, clock: Clock
) -> None:
    with pytest.raises(ModelTimeout):
        model(narrow, deadline=time.monotonic()).invoke("hi")
    assert upstream.requests() == []
    assert ModelCall.objects.get().tries == []
    assert _state(narrow).failures == 0
    assert _places(narrow) == 0
    model(narrow).invoke("hi")
