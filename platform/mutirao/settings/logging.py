"""structlog, readable on a terminal and JSON elsewhere."""

from __future__ import annotations

import sys

from mutirao.settings.environment import env
from telemetry.logs import configure

LOG_LEVEL: str = env("LOG_LEVEL", default="INFO")
LOG_FORMAT: str = env("LOG_FORMAT", default="console" if sys.stderr.isatty() else "json")
# Ids travel with Celery messages (see mutirao.celery).
DJANGO_STRUCTLOG_CELERY_ENABLED = True
LOGGING = configure(level=LOG_LEVEL, as_json=LOG_FORMAT == "json")
