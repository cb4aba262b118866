"""How many requests somebody may make in a time, counted in Redis by django-ratelimit.

What applies to whom: rows of limits (accounts.models.RateLimit), and for addresses, people and keys what the settings
say where no row does. docs/limits.md tells it to those who set them.
"""

from __future__ import annotations

import uuid
from collections import defaultdict
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from functools import lru_cache
from ipaddress import IPv6Address, IPv6Network, ip_address
from types import MappingProxyType
from typing import Any

import structlog
from django.conf import settings
from django_ratelimit.core import get_usage
from django_redis.exceptions import ConnectionInterrupted
from redis.exceptions import RedisError

from accounts.models import ApiKey, RateLimit, User
from accounts.rates import Rate, parse_rate
from foundation.outage import Outage
from foundation.remembered import Remembered
from foundation.seldom import Seldom
from telemetry import metrics

logger = structlog.get_logger(__name__)

ADDRESS, SIGN_IN, USER, KEY, ROLE, AGENT = "address", "sign_in", "user", "key", "role", "agent"
SCOPES = (ADDRESS, SIGN_IN, USER, KEY, ROLE, AGENT)
# Whoever has an IPv6 address has 2^64 of them.
IPV6_PREFIX = 64
# After a failure nobody asks Redis for so long, and then one does: the others need not wait for its timeout too.
QUIET_SECONDS = 1.0
PATIENCE_SECONDS = 5.0
AWAY = (ConnectionInterrupted, RedisError)

Rates = tuple[Rate, ...]
Subject = Any
"""The id of a user, a role or an agent, or a key's lineage."""


@dataclass(frozen=True, slots=True)
class Limit:
    """One counter: whose it is, and how far it may go."""

    scope: str
    holder: str
    rate: Rate


@dataclass(frozen=True, slots=True)
class Usage:
    """A limit after a request was counted; `reset` is in how many seconds it begins anew."""

    limit: Limit
    count: int
    reset: int

    @property
    def is_over(self) -> bool:
        """Whether this request was one too many."""
        return self.count > self.limit.rate.count

    @property
    def remaining(self) -> int:
        """How many more there may be until then."""
        return max(self.limit.rate.count - self.count, 0)


class CountingAway(Exception):
    """Requests cannot be counted at the moment, so none of this kind is accepted; try again soon."""


def strictest(usages: Iterable[Usage]) -> Usage | None:
    """The one that decides: of those that are over the one to wait for longest, else the one with least left."""
    return min(
        usages, key=lambda each: (not each.is_over, -each.reset if each.is_over else each.remaining), default=None
    )


@dataclass(frozen=True, slots=True)
class Rows:
    """The limits that somebody has set, by subject."""

    users: Mapping[Subject, Rates] = field(default_factory=lambda: MappingProxyType({}))
    roles: Mapping[Subject, Rates] = field(default_factory=lambda: MappingProxyType({}))
    keys: Mapping[Subject, Rates] = field(default_factory=lambda: MappingProxyType({}))
    agents: Mapping[Subject, Rates] = field(default_factory=lambda: MappingProxyType({}))
    everybody: Rates = ()


def _find() -> Rows:
    found: dict[str, dict[Subject, list[Rate]]] = {
        name: defaultdict(list) for name in ("users", "roles", "keys", "agents")
    }
    everybody: list[Rate] = []
    fields = ("rate", "user_id", "role_id", "api_key__lineage", "agent_id")
    for text, *subjects in RateLimit.objects.order_by("created_at", "id").values_list(*fields):
        rate = _rate(text)
        named = next(((kind, one) for kind, one in zip(found, subjects, strict=True) if one is not None), None)
        if named is None:
            everybody.append(rate)
        else:
            found[named[0]][named[1]].append(rate)
    return Rows(everybody=tuple(everybody), **{kind: _frozen(rows) for kind, rows in found.items()})


def _frozen(rows: Mapping[Subject, list[Rate]]) -> Mapping[Subject, Rates]:
    return {subject: tuple(rates) for subject, rates in rows.items()}


@lru_cache(maxsize=256)
def _rate(text: str) -> Rate:
    return parse_rate(text)


def _rates(text: str) -> Rates:
    """Of a setting, which may be empty."""
    return (_rate(text),) if text else ()


rows = Remembered(_find)


def limits_of_address(address: str | None, scope: str = ADDRESS) -> list[Limit]:
    """For whoever is not known: those of the address, `address` or `sign_in`."""
    text = settings.RATE_SIGN_IN if scope == SIGN_IN else settings.RATE_ADDRESS
    return [Limit(scope, group_of(address), rate) for rate in _rates(text)]


def group_of(address: str | None) -> str:
    """The address, or of IPv6 the network that one household has; the same for all who have none (a Unix socket)."""
    if address is None:
        return "-"
    found = ip_address(address)
    if isinstance(found, IPv6Address):
        return str(IPv6Network((int(found), IPV6_PREFIX), strict=False))
    return str(found)


def limits_of_caller(user: User, api_key: ApiKey | None) -> list[Limit]:
    """Those of a person, of the key that they use and of their roles. Costs a query only when a role has one."""
    return [*_limits_of_caller(user, api_key, rows())]


def _limits_of_caller(user: User, api_key: ApiKey | None, known: Rows) -> Iterator[Limit]:
    own = known.users.get(user.pk) or known.everybody or _rates(settings.RATE_USER)
    yield from (Limit(USER, str(user.pk), rate) for rate in own)
    if api_key is not None:
        of_key = known.keys.get(api_key.lineage) or _rates(settings.RATE_KEY)
        yield from (Limit(KEY, str(api_key.lineage), rate) for rate in of_key)
    if known.roles:
        for role in user.groups.filter(pk__in=known.roles).order_by("pk").values_list("pk", flat=True):
            yield from (Limit(ROLE, f"{role}:{user.pk}", rate) for rate in known.roles[role])


def limits_of_agent(agent_id: uuid.UUID) -> list[Limit]:
    """Those that all who submit to this agent share."""
    return [Limit(AGENT, str(agent_id), rate) for rate in rows().agents.get(agent_id, ())]


_outage = Outage(quiet_seconds=QUIET_SECONDS, patience_seconds=PATIENCE_SECONDS)
# An outage is logged so often, not for every request.
_logged = Seldom(seconds=10.0)


def count(limits: Sequence[Limit]) -> list[Usage]:
    """Counts one request under each of these limits.

    While Redis is away nothing is counted: raises CountingAway when one of the scopes is to be closed then
    (RATE_FAIL_CLOSED), else gives an empty list.
    """
    if not limits:
        return []
    if not _outage.may_ask():
        return _uncounted(limits)
    try:
        usages = [_count(limit) for limit in limits]
    except AWAY as error:
        _outage.failed()
        if _logged.is_news():
            logger.error("rate_limits_skipped", error=type(error).__name__, closed=settings.RATE_FAIL_CLOSED)  # noqa: TRY400
        return _uncounted(limits)
    _outage.answered()
    return usages


def _count(limit: Limit) -> Usage:
    rate = (limit.rate.count, limit.rate.seconds)
    # The end mark keeps holder and window apart in what the library makes its key of.
    holder = f"{limit.holder}|"
    found = get_usage(None, f"{limit.scope}:", key=lambda _group, _request: holder, rate=rate, increment=True)
    # The last second of a window belongs to it.
    return Usage(limit, found["count"], max(found["time_left"] + 1, 1))


def _uncounted(limits: Sequence[Limit]) -> list[Usage]:
    scopes = dict.fromkeys(limit.scope for limit in limits)
    for scope in scopes:
        _note_skipped(scope)
    if any(scope in settings.RATE_FAIL_CLOSED for scope in scopes):
        raise CountingAway(CountingAway.__doc__)
    return []


@metrics.harmless
def _note_skipped(scope: str) -> None:
    metrics.RATE_LIMITS_SKIPPED.labels(scope).inc()


def forget() -> None:
    """This process sees changed rows at once, and asks Redis again."""
    rows.forget()
    _outage.answered()
    _logged.forget()
