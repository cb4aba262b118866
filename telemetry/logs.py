"""Logging for every process: structlog over the standard library, secrets masked."""

from __future__ import annotations

import re
from collections.abc import MutableMapping
from typing import Any

import structlog
from structlog.typing import Processor

SECRET_NAMES = re.compile(r"(password|secret|token|api_?key|authorization|cookie|credential)s?$", re.IGNORECASE)
SECRET_VALUES = re.compile(r"(mut_[a-z0-9]{4,}_|sk-|eyJ)[A-Za-z0-9_\-.]{8,}|(?<=://)[^/\s:@]*:[^/\s@]+(?=@)")
SECRET_ASSIGNMENTS = re.compile(
    r"""((?:password|secret|token|api_?key|authorization|cookie|credential)s?["']?\s*[=:]\s*)"""
    r"""("[^"]*"|'[^']*'|(?:Bearer\s+|Basic\s+)?[^\s"',;)}\]]+)""",
    re.IGNORECASE,
)
MASK = "[masked]"


def mask_text(text: str) -> str:
    """The text without keys, JWTs, URL passwords, and what is assigned to a secret-sounding name."""
    return SECRET_VALUES.sub(MASK, SECRET_ASSIGNMENTS.sub(rf"\1{MASK}", text))


def mask_secrets(_logger: Any, _name: str, event: MutableMapping[str, Any]) -> MutableMapping[str, Any]:
    """Replaces values under secret-sounding names, and keys, JWTs and URL passwords inside any text."""
    for name, value in event.items():
        if SECRET_NAMES.search(name) and isinstance(value, str):
            event[name] = MASK
        elif isinstance(value, str):
            event[name] = SECRET_VALUES.sub(MASK, value)
    return event


def configure(*, level: str, as_json: bool) -> dict[str, Any]:
    """Sets structlog up and returns Django's LOGGING."""
    shared: list[Processor] = [
        structlog.contextvars.merge_contextvars,
        structlog.stdlib.add_log_level,
        structlog.stdlib.add_logger_name,
        structlog.processors.TimeStamper(fmt="iso", utc=True),
        structlog.processors.StackInfoRenderer(),
    ]
    last: list[Processor] = (
        [structlog.processors.format_exc_info, mask_secrets, structlog.processors.JSONRenderer()]
        if as_json
        else [structlog.processors.format_exc_info, mask_secrets, structlog.dev.ConsoleRenderer(colors=False)]
    )
    structlog.configure(
        processors=[*shared, structlog.stdlib.ProcessorFormatter.wrap_for_formatter],
        logger_factory=structlog.stdlib.LoggerFactory(),
        wrapper_class=structlog.stdlib.BoundLogger,
        cache_logger_on_first_use=True,
    )
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
            "celery.app.trace": {"level": "WARNING"},
            "httpx": {"level": "WARNING"},
        },
    }
