"""Errors that a person has to see go to Sentry, when SENTRY_DSN is set; without it nothing here does anything.

What is reported is masked like a log line, carries the same ids, and is sent by a thread of its own that gives up on a
server it cannot reach.
"""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING, Any, cast

import structlog

from telemetry import farewell
from telemetry.context import ids
from telemetry.masking import masked

if TYPE_CHECKING:
    from sentry_sdk.types import Event, Hint

logger = structlog.get_logger(__name__)

# How long a process that ends waits for what is still to be sent.
SECONDS_TO_SEND = 2
# What Sentry's own protocol needs as it is.
_UNTOUCHED = frozenset({"event_id", "timestamp", "type", "level", "platform", "sdk", "debug_meta"})

_expected: list[type[BaseException]] = []


def expect(*kinds: type[BaseException]) -> None:
    """Errors of these kinds (and their subclasses) are refusals, told to whoever asked: nobody has to repair them."""
    _expected.extend(kind for kind in kinds if kind not in _expected)


def is_expected(error: BaseException) -> bool:
    """Whether the error is a refusal."""
    return isinstance(error, tuple(_expected))


def start(*, dsn: str, environment: str, release: str) -> None:
    """Switches Sentry on for this process: Django and Celery, no personal data, no bodies, no local variables."""
    import sentry_sdk
    from sentry_sdk.integrations.celery import CeleryIntegration
    from sentry_sdk.integrations.django import DjangoIntegration
    from sentry_sdk.integrations.logging import LoggingIntegration

    sentry_sdk.init(
        dsn=dsn,
        environment=environment,
        release=release,
        integrations=[
            DjangoIntegration(middleware_spans=False, signals_spans=False, cache_spans=False),
            CeleryIntegration(propagate_traces=False),
            # Log lines are logs; only errors are events, or everything would be told twice.
            LoggingIntegration(level=None, event_level=None),
        ],
        # It would import LangChain and OpenAI at Django's start to look whether they are there.
        auto_enabling_integrations=False,
        auto_session_tracking=False,
        send_default_pii=False,
        include_local_variables=False,
        max_request_body_size="never",
        # A worker's threads would collect crumbs of each other's tasks.
        max_breadcrumbs=0,
        shutdown_timeout=SECONDS_TO_SEND,
        before_send=before_send,
    )
    farewell.register("sentry", lambda: sentry_sdk.flush(timeout=SECONDS_TO_SEND))


def before_send(event: Event, hint: Hint) -> Event | None:
    """The event with our ids as tags and without secrets; None for a refusal, or when masking it fails."""
    kind_and_error = hint.get("exc_info")
    if kind_and_error is not None and is_expected(kind_and_error[1]):
        return None
    try:
        whole = cast("dict[str, Any]", event)
        tags = {**dict(whole.get("tags") or {}), **ids()}
        clean = {name: value if name in _UNTOUCHED else masked(value, name=name) for name, value in whole.items()}
        clean["tags"] = tags
        return cast("Event", _without_visitor(clean))
    except Exception:
        logger.exception("error_not_reported")
        return None


def _without_visitor(event: dict[str, Any]) -> dict[str, Any]:
    """Query, cookies and headers say nothing that the ids do not lead to, and may say too much."""
    request = event.get("request")
    if isinstance(request, dict):
        event["request"] = {name: request[name] for name in ("method", "url") if name in request}
    return event


def report_error(error: BaseException, **details: object) -> None:
    """Reports an error that was handled: an agent's failure, once it has ended its task."""
    sentry = sys.modules.get("sentry_sdk")
    if sentry is None or is_expected(error):
        return
    try:
        with sentry.new_scope() as scope:
            scope.set_context("attempt", {name: str(value) for name, value in details.items()})
            scope.capture_exception(error)
    except Exception:
        logger.exception("error_not_reported")
