"""The cache is never the reason why a call fails."""

from __future__ import annotations

from collections.abc import Callable
from typing import TypeVar

import structlog

from foundation.seldom import Seldom

logger = structlog.get_logger(__name__)
Answer = TypeVar("Answer")

_told = Seldom(seconds=60)


def harmless(work: Callable[[], Answer]) -> Answer | None:
    """What the work gives; None, logged now and then, when it fails."""
    try:
        return work()
    except Exception as error:
        if _told.is_news(type(error).__name__):
            logger.exception("cache_failed")
        return None
