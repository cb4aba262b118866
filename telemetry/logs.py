"""Logging for every process: structlog over the standard library, ids on every line, secrets masked."""

from __future__ import annotations

from collections.abc import MutableMapping
from typing import Any

import structlog
from structlog.typing import Processor

from telemetry.context import add_user
from telemetry.masking import MASK, learn_secrets, mask_text, masked

__all__ = ["MASK", "configure", "mask_secrets", "mask_text"]


def mask_secrets(_logger: Any, _name: str, event: MutableMapping[str, Any]) -> MutableMapping[str, Any]:
    """A structlog processor: masks values under secret-sounding names, and secrets inside any text, at any depth."""
    for name, value in event.items():
        if not name.startswith("_"):
            event[name] = masked(value, name=name)
    return event


def configure(*, level: str, as_json: bool) -> dict[str, Any]:
    """Sets structlog up and returns Django's LOGGING."""
    learn_secrets()
    shared: list[Processor] = [
        structlog.contextvars.merge_contextvars,
        add_user,
        structlog.stdlib.add_log_level,
        structlog.stdlib.add_logger_name,
        structlog.processors.TimeStamper(fmt="iso", utc=True),
        structlog.processors.StackInfoRenderer(),
    ]
    renderer: Processor = (
        structlog.processors.JSONRenderer(ensure_ascii=False)
        if as_json
        else structlog.dev.ConsoleRenderer(colors=False)
    )
    structlog.configure(
        # The level first: a line that nobody wants costs nothing.
        processors=[
            structlog.stdlib.filter_by_level,
            *shared,
            structlog.stdlib.ProcessorFormatter.wrap_for_formatter,
        ],
        logger_factory=structlog.stdlib.LoggerFactory(),
        wrapper_class=structlog.stdlib.BoundLogger,
        cache_logger_on_first_use=True,
    )
    # Tracebacks become text before the masks, or they would pass them.
    last = [structlog.processors.format_exc_info, mask_secrets, renderer]
    return {
        "version": 1,
        "disable_existing_loggers": False,
        "formatters": {
            "structlog": {
                "()": structlog.stdlib.ProcessorFormatter,
                "foreign_pre_chain": shared,
                "processors": [structlog.stdlib.ProcessorFormatter.remove_processors_meta, *last],
            }
        },
        "handlers": {"stderr": {"class": "logging.StreamHandler", "formatter": "structlog"}},
        "root": {"handlers": ["stderr"], "level": level},
        "loggers": {
            "django.server": {"level": "WARNING"},
            # Every bell would be three lines; what goes wrong with a job is a warning or an error.
            "celery.app.trace": {"level": "WARNING"},
            "celery.worker.strategy": {"level": "WARNING"},
            "django_structlog": {"level": "WARNING"},
            "httpx": {"level": "WARNING"},
        },
    }
