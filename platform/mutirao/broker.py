"""What we want of kombu: a worker that loses its broker goes on when that is back."""

from __future__ import annotations

from typing import Any

import structlog
from kombu.transport import redis
from redis.exceptions import RedisError

logger = structlog.get_logger(__name__)


class CalmQoS(redis.QoS):
    """Gives back what was not acknowledged, where it still can.

    While a lost connection is being closed there may be none to give it back with, which is an AttributeError in kombu
    5.7. Celery takes that for unrecoverable and stops the worker. Our messages are bells: what is lost is rung again by
    the sweeper.
    """

    def restore_unacked_once(self, stderr: Any = None) -> None:
        """Logs when it cannot."""
        try:
            super().restore_unacked_once(stderr)
        except (AttributeError, RedisError, OSError) as error:
            logger.warning("bells_not_given_back", error=type(error).__name__)


def keep_calm() -> None:
    """For channels that are made from now on; kombu asks the class for its QoS."""
    redis.Channel.QoS = CalmQoS
