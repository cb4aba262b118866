"""Redis for what can be done without it: asked with little patience, and replaced by this process' memory while it is
away. An outage costs a process about `TIMEOUT_SECONDS` in every `QUIET_SECONDS`, whatever asks.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import lru_cache
from typing import Final, Generic, TypeVar

import redis
import structlog
from django.conf import settings
from redis.backoff import NoBackoff
from redis.retry import Retry

from foundation.outage import Outage
from foundation.seldom import Seldom

logger = structlog.get_logger(__name__)

QUIET_SECONDS: Final = 1.0
TIMEOUT_SECONDS: Final = 0.05

Kept = TypeVar("Kept")
Answer = TypeVar("Answer")

# One for all that is shared, so that the patience of one kind of thing is not added to that of another.
_outage = Outage(quiet_seconds=QUIET_SECONDS, patience_seconds=QUIET_SECONDS)


class NoRedis(Exception):
    """This process was not told of a Redis (REDIS_URL)."""


@lru_cache(maxsize=8)
def client_of(url: str, patience: float = TIMEOUT_SECONDS) -> redis.Redis:
    """A client that asks once and waits no longer than `patience` seconds. Raises NoRedis."""
    if not url:
        raise NoRedis(NoRedis.__doc__)
    # The library's own retries would do a change twice when only the answer was lost.
    return redis.Redis.from_url(
        url, socket_timeout=patience, socket_connect_timeout=patience, retry=Retry(NoBackoff(), 0),
        health_check_interval=30, decode_responses=True,
    )  # fmt: skip


class Sharing(Generic[Kept]):
    """Where things of one kind are kept: `shared` for all processes, and while that is away `own`, made anew for each
    outage. `given` takes the place of the shared one (in tests).
    """

    def __init__(
        self, kind: str, *, shared: Callable[[str, str], Kept], own: Callable[[], Kept], given: Kept | None = None
    ) -> None:
        self._kind, self._shared, self._make_own, self._given = kind, shared, own, given
        self._own: Kept | None = None
        self._outage = _outage if given is None else Outage(quiet_seconds=QUIET_SECONDS, patience_seconds=QUIET_SECONDS)
        self._told = Seldom(seconds=60)

    def ask(self, question: Callable[[Kept], Answer]) -> Answer:
        """What the shared one says, else what our own says; never an error of Redis."""
        if not self._outage.may_ask():
            return question(self._alone())
        try:
            answer = question(self._given or self._shared(settings.REDIS_URL, settings.REDIS_PREFIX))
        except (redis.RedisError, OSError, NoRedis) as error:
            self._outage.failed()
            if self._told.is_news():
                logger.warning("state_not_shared", kind=self._kind, error=str(error))
            return question(self._alone())
        self._outage.answered()
        self._own = None
        return answer

    def forget(self) -> None:
        """Tries Redis again at once, and loses what this process kept meanwhile."""
        self._outage.answered()
        self._own = None

    def _alone(self) -> Kept:
        own = self._own
        if own is None:
            own = self._own = self._make_own()
        return own
