"""Redis, as far as the cache uses it. It can be away: then there are no flights, and rows are read instead of keys."""

from __future__ import annotations

from collections.abc import Callable
from functools import lru_cache
from typing import Any, Final, TypeVar

import redis
import structlog
from django.conf import settings

from foundation.outage import Outage
from foundation.seldom import Seldom

logger = structlog.get_logger(__name__)
Answer = TypeVar("Answer")

MOST_CONNECTIONS: Final = 64
# Blocking reads have connections of their own, so that they keep nobody waiting who only wants to say something.
MOST_READERS: Final = 64
QUIET_SECONDS: Final = 1.0
TIMEOUT_SECONDS: Final = 2.0

outage = Outage(quiet_seconds=QUIET_SECONDS, patience_seconds=TIMEOUT_SECONDS * 2)
_told = Seldom(seconds=60)


class Away(Exception):
    """Redis cannot be asked now."""


def key(*parts: str) -> str:
    """A key of the cache."""
    return ":".join((settings.REDIS_PREFIX, "answers", *parts))


def ask(question: Callable[[redis.Redis], Answer]) -> Answer:
    """What Redis says. Raises Away, at once while it is known to be away."""
    if not settings.REDIS_URL or not outage.may_ask():
        raise Away
    try:
        answer = question(client())
    except redis.RedisError as error:
        outage.failed()
        if _told.is_news():
            logger.warning("cache_without_redis", error=str(error)[:200])
        raise Away from None
    outage.answered()
    return answer


def ask_or(question: Callable[[redis.Redis], Answer], default: Answer) -> Answer:
    """The same; `default` when Redis is away."""
    try:
        return ask(question)
    except Away:
        return default


def client() -> redis.Redis:
    """Of this process. Its connections are bounded: who finds none waits for one."""
    return _client(settings.REDIS_URL)


def reader() -> redis.Redis:
    """For blocking reads, of which MOST_READERS may go on at once."""
    return _reader(settings.REDIS_URL)


@lru_cache(maxsize=4)
def _reader(url: str) -> redis.Redis:
    return redis.Redis.from_url(
        url, max_connections=MOST_READERS, socket_timeout=TIMEOUT_SECONDS, socket_connect_timeout=TIMEOUT_SECONDS
    )


@lru_cache(maxsize=4)
def _client(url: str) -> redis.Redis:
    pool: Any = redis.BlockingConnectionPool.from_url(
        url,
        max_connections=MOST_CONNECTIONS,
        timeout=TIMEOUT_SECONDS,
        socket_timeout=TIMEOUT_SECONDS,
        socket_connect_timeout=TIMEOUT_SECONDS,
        health_check_interval=30,
    )
    return redis.Redis(connection_pool=pool)
