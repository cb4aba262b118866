"""Error reports, switched on by SENTRY_DSN."""

from __future__ import annotations

from importlib.metadata import version

from mutirao.settings.environment import env
from telemetry import errors

SENTRY_DSN: str = env("SENTRY_DSN", default="")
SENTRY_ENVIRONMENT: str = env("SENTRY_ENVIRONMENT", default="production")
# The name of what is wrong with the address; a system check tells it.
SENTRY_PROBLEM = ""
if SENTRY_DSN:
    try:
        errors.start(dsn=SENTRY_DSN, environment=SENTRY_ENVIRONMENT, release=f"mutirao@{version('mutirao')}")
    except ValueError as error:
        SENTRY_PROBLEM = type(error).__name__
