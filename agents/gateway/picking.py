"""Which deployment a call tries next, and when."""

from __future__ import annotations

import random
import time
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Final, Protocol

from django.utils.translation import gettext as _

from agents.circuits import protection
from agents.gateway import prices, routing
from agents.gateway.circuits import CREDENTIAL
from agents.gateway.exceptions import (
    AllDeploymentsOpen,
    GatewayError,
    ModelRateLimited,
    ModelTimeout,
    PriceUnknown,
    UnknownRoute,
)
from agents.gateway.guarding import SLICE_SECONDS, Leaving
from agents.gateway.routing import DeploymentData, RouteData
from foundation.breakers import CircuitOpen
from foundation.capacity import Capacity, CapacityFull, Slot
from foundation.threads import release_connections

FIRST_PAUSE_SECONDS: Final = 0.2
LONGEST_PAUSE_SECONDS: Final = 5.0
# A provider that asks for a longer pause is not waited for, and what is left alone is not for longer than this.
LONGEST_RETRY_AFTER: Final = 2.0
# How long a call waits for a place at deployments that are all full.
LONGEST_FULL_SECONDS: Final = 5.0
# A place outlives its call's deadline by so much, if nobody gives it back. No call goes on after its deadline, so there
# is nothing to renew: that would only keep the place of one that died for longer.
LEASE_SECONDS_MORE: Final = 10.0

capacity = Capacity()


class Permission(Protocol):
    """A circuit breaker's, see foundation.breakers."""

    def begun(self) -> None: ...

    def succeeded(self) -> None: ...

    def failed(self, why: str) -> None: ...

    def throttled(self, seconds: float, why: str) -> None: ...

    def ignored(self) -> None: ...


@dataclass(frozen=True, slots=True)
class Picked:
    """A deployment that may be called now, and where that is told: `permission` is its own, `account` that of all that
    its credential pays for (None where the environment does). `is_last`: no other is left to be tried.
    """

    deployment: DeploymentData
    permission: Permission
    account: Permission | None
    slot: Slot | None
    is_last: bool

    @property
    def label(self) -> str:
        """For people."""
        return self.deployment.name or f"{self.deployment.provider}:{self.deployment.model}"


class Picker:
    """Of one call on one route. `ends` is a moment of `time.monotonic()`."""

    def __init__(self, route: RouteData, *, ends: float, leaving: Leaving, has_cost_limit: bool) -> None:
        self._route, self._ends, self._leaving = route, ends, leaving
        self._order = [
            each for each in routing.ordered(route)
            if not has_cost_limit or prices.is_priced(each.provider, each.model)
        ]  # fmt: skip
        self._tries: Counter[str] = Counter()
        # Not before this moment; never again: infinity.
        self._not_before: dict[str, float] = {}
        self._error: GatewayError | None = None
        self._full_until = self._opened_until = 0.0

    def next(self) -> Picked:
        """The next one to try; waits for it when that may help. Raises what the last one failed with, or why there is
        none: AllDeploymentsOpen, ModelRateLimited, ModelTimeout, PriceUnknown, UnknownRoute.
        """
        while True:
            if time.monotonic() >= self._ends:
                # It would be told of a deployment that nobody has asked.
                raise self._error or ModelTimeout()
            full, opened = list[float](), list[float]()
            for deployment in self._ready():
                picked = self._entered(deployment, full, opened)
                if picked is not None:
                    return picked
            pause = self._pause(full, opened)
            if pause is None or time.monotonic() + pause >= self._ends:
                raise self._nothing_left(full, opened)
            self._wait(pause)

    def failed(self, deployment: DeploymentData, error: GatewayError) -> None:
        """It was tried, and this came of it."""
        key, self._error, self._opened_until = deployment.key, error, 0.0
        self._tries[key] += 1
        pause = pause_after(error, self._tries[key])
        is_over = pause is None or self._tries[key] >= self._route.tries
        self._not_before[key] = float("inf") if pause is None or is_over else time.monotonic() + pause

    def _ready(self) -> Iterator[DeploymentData]:
        """Those that may be tried now; what was tried least comes first."""
        now = time.monotonic()
        ready = [each for each in self._order if self._not_before.get(each.key, 0.0) <= now]
        yield from sorted(ready, key=lambda each: self._tries[each.key])

    def _entered(self, deployment: DeploymentData, full: list[float], opened: list[float]) -> Picked | None:
        left = self._ends - time.monotonic()
        try:
            account = _account_of(deployment)
            permission = protection.permit(deployment.key, seconds=left)
        except CircuitOpen as refusal:
            opened.append(refusal.retry_after)
            return None
        slot = None
        if not deployment.caps.are_none:
            try:
                lease = left + LEASE_SECONDS_MORE
                slot = capacity.enter(deployment.key, deployment.caps, lease_seconds=lease)
            except CapacityFull as refusal:
                permission.ignored()
                full.append(refusal.retry_after)
                return None
        return Picked(deployment, permission, account, slot, self._is_last(deployment))

    def _is_last(self, deployment: DeploymentData) -> bool:
        return not any(
            each is not deployment and self._not_before.get(each.key, 0.0) < float("inf") for each in self._order
        )

    def _pause(self, full: list[float], opened: list[float]) -> float | None:
        """Until one may be tried; None when that is not waited for."""
        now = time.monotonic()
        waits = [moment - now for moment in self._not_before.values() if now < moment < float("inf")]
        if full:
            self._full_until = self._full_until or now + LONGEST_FULL_SECONDS
            wait = min(full) * random.uniform(1, 1.25)  # noqa: S311 (spreads load only)
            if now + wait < self._full_until:
                waits.append(wait)
        if opened:
            self._opened_until = self._opened_until or now + LONGEST_RETRY_AFTER
            if now + min(opened) <= self._opened_until:
                waits.append(_spread(min(opened)))
        return max(0.001, min(waits)) if waits else None

    def _wait(self, seconds: float) -> None:
        """Holds no database connection meanwhile, as many may wait at once."""
        release_connections()
        until = time.monotonic() + seconds
        while (left := until - time.monotonic()) > 0:
            self._leaving.look()
            time.sleep(min(left, SLICE_SECONDS))

    def _nothing_left(self, full: list[float], opened: list[float]) -> GatewayError:
        if self._error is not None:
            return self._error
        if full:
            return ModelRateLimited(_("As many calls as are allowed are on their way."), retry_after=min(full))
        if opened:
            return AllDeploymentsOpen(retry_after=min(opened))
        if self._route.deployments:
            return PriceUnknown()
        return UnknownRoute(_("The route “%(name)s” has no deployment that is on.") % {"name": self._route.name})


def pause_after(error: GatewayError, tries: int) -> float | None:
    """Seconds until the same deployment may do better, with jitter; None when it will not in this call."""
    if not error.retryable or isinstance(error, AllDeploymentsOpen):
        return None
    if error.retry_after is not None:
        if error.retry_after > LONGEST_RETRY_AFTER:
            return None
        return _spread(error.retry_after)
    pause = min(FIRST_PAUSE_SECONDS * 2.0 ** (tries - 1), LONGEST_PAUSE_SECONDS)
    return pause * random.uniform(0.5, 1)  # noqa: S311 (spreads load only)


def _spread(seconds: float) -> float:
    """A little more, so that not all who wait for the same moment come at once."""
    return seconds * random.uniform(1, 1.1) + 0.01  # noqa: S311 (spreads load only)


def _account_of(deployment: DeploymentData) -> Permission | None:
    """That of its credential. Raises CircuitOpen while nothing is left there to pay with, or it is told to wait."""
    if deployment.credential is None:
        return None
    return protection.permit(f"{CREDENTIAL}:{deployment.credential.id}")
