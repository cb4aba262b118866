"""Where calls go: routes and deployments as this process knows them, and the order in which they are tried.

Nothing of LangChain here: the admin and the API use it too.
"""

from __future__ import annotations

import json
import math
import random
import threading
import time
import uuid
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any, Final

import structlog
from django.conf import settings
from django.db import Error as AnyDatabaseError
from django.db.models import Prefetch, TextField
from django.db.models.functions import Cast
from django.utils.translation import gettext as _

from agents.gateway.exceptions import UnknownRoute
from agents.gateway.models import Credential, Deployment, Route, RouteStep
from agents.gateway.providers import LIMITING_EACH_MODEL, describe, route_name
from foundation.capacity import Caps
from foundation.encryption import CannotDecrypt, decrypt
from foundation.seldom import Seldom
from telemetry.masking import learn_opened

logger = structlog.get_logger(__name__)

# How much the latest call changes what is known of a deployment's latency.
LEARNING_RATE: Final = 0.2
# How often the quickest is not the first, so that the others are known too.
EXPLORED: Final = 0.05
NO_CAPS: Final = Caps()
_is_news = Seldom(seconds=60)


@dataclass(frozen=True, slots=True)
class CredentialData:
    """What a provider is shown, and at which address; without one it is the provider's own. `changed_at` is when it was
    given this secret. `limits_each_model`: a 429 for one model says nothing about its others.
    """

    id: uuid.UUID
    base_url: str
    secret: str = field(repr=False)
    changed_at: datetime | None = None
    limits_each_model: bool = False


@dataclass(frozen=True, slots=True)
class DeploymentData:
    """One model that can be called. `key` is its circuit breaker's; `parameters` are JSON; without a credential the
    provider's environment variables are used.
    """

    key: str
    provider: str
    model: str
    name: str = ""
    id: uuid.UUID | None = None
    parameters: str = "{}"
    credential: CredentialData | None = None
    caps: Caps = NO_CAPS
    weight: int = 1


@dataclass(frozen=True, slots=True)
class RouteData:
    """Deployments in their order, and the limits of a call in seconds; None: the installation's.

    `longer` and `refused` are names of routes, or empty.
    """

    name: str
    deployments: tuple[DeploymentData, ...]
    strategy: str = Route.Strategy.ORDERED.value
    deadline_seconds: float | None = None
    first_token_seconds: float | None = None
    stall_seconds: float | None = None
    most_tries: int | None = None
    longer: str = ""
    refused: str = ""

    @property
    def deadline(self) -> float:
        """Seconds for a whole call, all tries together."""
        return self.deadline_seconds or float(settings.MODEL_CALL_TIMEOUT_SECONDS)

    @property
    def first_token(self) -> float:
        """Seconds until the first token of a try."""
        return self.first_token_seconds or float(settings.MODEL_FIRST_TOKEN_SECONDS)

    @property
    def stall(self) -> float:
        """Seconds between two tokens."""
        return self.stall_seconds or float(settings.MODEL_STALL_SECONDS)

    @property
    def tries(self) -> int:
        """How often each deployment is tried in one call."""
        return self.most_tries or int(settings.MODEL_CALL_TRIES)


def find(target: str) -> RouteData:
    """The route of `route:NAME`, or the one that `provider:model` is by itself. Raises UnknownRoute, InvalidModelName.

    What is known is up to ROUTE_CACHE_SECONDS old, and older while the database is away.
    """
    name = route_name(target)
    if not name:
        return plain(*describe(target))
    route = _remembered.routes().get(name)
    if route is None:
        # It may have been made a moment ago, in another process.
        _remembered.forget()
        route = _remembered.routes().get(name)
    if route is None:
        raise UnknownRoute(_("There is no route “%(name)s”, or it is switched off.") % {"name": name})
    return route


def plain(provider: str, model: str) -> RouteData:
    """A model that was named itself: one deployment, from the environment."""
    deployment = DeploymentData(f"model:{provider}:{model}"[:300], provider, model)
    return RouteData(f"{provider}:{model}", (deployment,))


def ordered(route: RouteData) -> list[DeploymentData]:
    """The deployments in the order in which this call tries them."""
    found = list(route.deployments)
    if len(found) < 2 or route.strategy == Route.Strategy.ORDERED:
        return found
    if route.strategy == Route.Strategy.WEIGHTED:
        return sorted(found, key=_lot, reverse=True)
    if random.random() < EXPLORED:  # noqa: S311 (spreads load only)
        random.shuffle(found)
        return found
    # What has never been asked is asked first.
    return sorted(found, key=lambda each: _latencies.get(each.key, 0.0))


def _lot(deployment: DeploymentData) -> float:
    """Efraimidis and Spirakis, *Weighted random sampling with a reservoir* (2006); weight 0 comes last."""
    if not deployment.weight:
        return -math.inf
    return math.log(random.random() or 1e-12) / deployment.weight  # noqa: S311 (spreads load only)


_latencies: dict[str, float] = {}


def note_latency(deployment: DeploymentData, seconds: float) -> None:
    """How long the first token took."""
    known = _latencies.get(deployment.key)
    _latencies[deployment.key] = seconds if known is None else known + LEARNING_RATE * (seconds - known)


class _Remembered:
    """All enabled routes, as this process knows them."""

    def __init__(self) -> None:
        self._known: Mapping[str, RouteData] = {}
        self._until = 0.0
        self._generation = 0
        self._lock = threading.Lock()

    def routes(self) -> Mapping[str, RouteData]:
        """By name. One thread asks the database, the others go on with what was known."""
        if self._until > time.monotonic():
            return self._known
        is_first = not self._until
        if not self._lock.acquire(blocking=is_first):
            return self._known
        try:
            if self._until <= time.monotonic():
                self._read()
            return self._known
        finally:
            self._lock.release()

    def _read(self) -> None:
        generation = self._generation
        try:
            known: Mapping[str, RouteData] = _routes()
        except AnyDatabaseError as error:
            known = self._known
            if _is_news.is_news():
                logger.warning("routes_not_read", error=str(error))
        if generation == self._generation:
            self._known, self._until = known, time.monotonic() + settings.ROUTE_CACHE_SECONDS

    def forget(self) -> None:
        """Asks again next time."""
        self._generation += 1
        self._until = 0.0


_remembered = _Remembered()


def forget() -> None:
    """As if no route had been asked for in this process."""
    _remembered.forget()
    _latencies.clear()


def _routes() -> dict[str, RouteData]:
    """Two queries."""
    steps = (
        RouteStep.objects.filter(deployment__is_enabled=True)
        .select_related("deployment__credential")
        # Sealed, as each is opened by itself.
        .defer("deployment__credential__secret")
        .annotate(sealed=Cast("deployment__credential__secret", TextField()))
    )
    rows = (
        Route.objects.filter(is_enabled=True)
        .select_related("longer_route", "refused_route")
        .prefetch_related(Prefetch("steps", queryset=steps.order_by("position", "id")))
    )
    return {row.name: _route(row) for row in rows}


def _route(row: Route) -> RouteData:
    return RouteData(
        name=row.name,
        deployments=tuple(_opened(row)),
        strategy=row.strategy,
        deadline_seconds=row.deadline_seconds,
        first_token_seconds=row.first_token_seconds,
        stall_seconds=row.stall_seconds,
        most_tries=row.most_tries,
        longer=_name_of(row.longer_route),
        refused=_name_of(row.refused_route),
    )


def _name_of(route: Route | None) -> str:
    """One that is switched off is none."""
    return route.name if route is not None and route.is_enabled else ""


def _opened(row: Route) -> Iterator[DeploymentData]:
    """Where it leads, without those whose secret none of the keys opens: the others can be called all the same."""
    steps: Any = row.steps.all()
    for step in steps:
        credential = step.deployment.credential
        try:
            if credential is not None:
                credential.secret = decrypt(step.sealed) if step.sealed else ""
        except CannotDecrypt as error:
            if _is_news.is_news(credential.pk):
                logger.warning("credential_not_opened", credential=credential.name, error=str(error))
            continue
        yield deployment_data(step.deployment, weight=step.weight)


def _shown(row: Any) -> CredentialData:
    return CredentialData(row.pk, row.base_url, row.secret, row.changed_at, _limits_each_model(row))


def _limits_each_model(row: Any) -> bool:
    """Whose address is not the provider's own may be anything."""
    if row.rate_limits == Credential.RateLimits.USUAL:
        return not row.base_url and row.provider in LIMITING_EACH_MODEL
    return bool(row.rate_limits == Credential.RateLimits.EACH_MODEL)


def is_current(credential: CredentialData) -> bool:
    """Whether it still has this secret: a refusal of another one says nothing any more. So when nobody can say."""
    try:
        found = Credential.objects.filter(pk=credential.id, changed_at=credential.changed_at).exists()
    except AnyDatabaseError:
        return True
    if not found:
        _remembered.forget()
    return found


def deployment_data(row: Deployment, *, weight: int = 1) -> DeploymentData:
    """What is called by this row. Raises CannotDecrypt where its secret has not been opened yet."""
    credential: Any = row.credential
    if credential is not None:
        learn_opened(credential.secret)
    return DeploymentData(
        key=f"deployment:{row.pk}",
        provider=row.provider,
        model=row.model,
        name=row.name,
        id=row.pk,
        parameters=json.dumps(row.parameters, sort_keys=True),
        credential=_shown(credential) if credential else None,
        caps=Caps(row.most_concurrent, row.most_requests, row.most_tokens),
        weight=weight,
    )
