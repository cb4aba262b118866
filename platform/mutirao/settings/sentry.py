"""Error reports, switched on by SENTRY_DSN."""

from __future__ import annotations

from importlib.metadata import version

from mutirao.settings.environment import env
from telemetry import errors

SENTRY_DSN: str = env("SENTRY_DSN", default="")
SENTRY_ENVIRONMENT: str = env("SENTRY_ENVIRONMENT", default="production")
if SENTRY_DSN:
    try:
        errors.start(dsn=SENTRY_DSN, environment=SENTRY_ENVIRONMENT, release=f"mutirao@{version('mutirao')}")
        SENTRY_PROBLEM = ""
    except ValueError as error:
        # A wrong address is named by a system check, and does not keep the platform from starting a check.
        SENTRY_PROBLEM = type(error).__name__
