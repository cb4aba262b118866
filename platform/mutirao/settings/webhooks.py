"""Telling receivers that a task has ended."""

from __future__ import annotations

from mutirao.settings.environment import env

# How many deliveries one worker process has on their way at a time, beside the tasks that it runs.
WEBHOOK_THREADS: int = env.int("MUTIRAO_WEBHOOK_THREADS", default=4)
# So many of them at most to one receiver, so that a slow one leaves room for others.
WEBHOOK_THREADS_OF_HOST: int = env.int("MUTIRAO_WEBHOOK_THREADS_OF_HOST", default=2)
# How often a worker looks for deliveries that are due; those of tasks that it ends itself it hears of at once.
WEBHOOK_POLL_SECONDS: float = env.float("MUTIRAO_WEBHOOK_POLL_SECONDS", default=2)
# A receiver has this long for its whole answer.
WEBHOOK_SECONDS: float = env.float("MUTIRAO_WEBHOOK_SECONDS", default=15)
# An endpoint that has done nothing but fail for so many days is disabled.
WEBHOOK_FAILING_DAYS: float = env.float("MUTIRAO_WEBHOOK_FAILING_DAYS", default=5)
# Endpoints that one person may have.
WEBHOOK_MOST_ENDPOINTS: int = env.int("MUTIRAO_WEBHOOK_MOST_ENDPOINTS", default=20)
# Where people and receivers find this installation (https://agents.example); links in webhooks begin with it.
PUBLIC_URL: str = env("MUTIRAO_PUBLIC_URL", default="").rstrip("/")
