"""The Celery application: `celery -A mutirao worker`."""

from __future__ import annotations

import os
from typing import Any

from celery import Celery
from celery.signals import setup_logging, worker_init
from django_structlog.celery.steps import DjangoStructLogInitStep

from mutirao.broker import keep_calm

os.environ.setdefault("DJANGO_SETTINGS_MODULE", "mutirao.settings")

app = Celery("mutirao")
app.config_from_object("django.conf:settings", namespace="CELERY")
app.autodiscover_tasks(related_name="jobs")
# Jobs that an installation adds carry the ids of whoever has sent them. Ours is a bell for a queue and carries none
# that matter: agents.worker.stories binds those of the task that was claimed.
app.steps["worker"].add(DjangoStructLogInitStep)


@setup_logging.connect
def keep_our_logging(**_signal: Any) -> None:
    """Somebody listens, so Celery leaves the loggers as Django has set them up, with the ids and the masks."""


@worker_init.connect
def outlive_the_broker(**_signal: Any) -> None:
    """Losing it is no reason to stop."""
    keep_calm()
