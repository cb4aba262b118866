"""How long things are kept, in days; 0 keeps them for ever. `manage.py prune` deletes what is older."""

from __future__ import annotations

from mutirao.settings.environment import env

# Tasks that have ended, with their attempts, events and saved steps.
KEEP_TASKS_DAYS: int = env.int("MUTIRAO_KEEP_TASKS_DAYS", default=90)
KEEP_SPANS_DAYS: int = env.int("MUTIRAO_KEEP_SPANS_DAYS", default=30)
# What was spent is wanted longer than what was said.
KEEP_MODEL_CALLS_DAYS: int = env.int("MUTIRAO_KEEP_MODEL_CALLS_DAYS", default=400)
KEEP_CELERY_RESULTS_DAYS: int = env.int("MUTIRAO_KEEP_CELERY_RESULTS_DAYS", default=7)
# Conversations belong to people: they stay unless the installation says otherwise.
KEEP_CONVERSATIONS_DAYS: int = env.int("MUTIRAO_KEEP_CONVERSATIONS_DAYS", default=0)
# One of the workers does so once an hour; off for those who would rather run `manage.py prune` themselves.
PRUNES_ITSELF: bool = env.bool("MUTIRAO_PRUNES_ITSELF", default=True)
# Webhook deliveries that have come to their end, with the log of their attempts.
KEEP_WEBHOOK_DELIVERIES_DAYS: int = env.int("MUTIRAO_KEEP_WEBHOOK_DELIVERIES_DAYS", default=30)
# Audit events: only from the beginning of the chain, with a signed seal at the cut.
KEEP_AUDIT_DAYS: int = env.int("MUTIRAO_KEEP_AUDIT_DAYS", default=0)
# What was spent of quotas, by period.
KEEP_QUOTA_PERIODS_DAYS: int = env.int("MUTIRAO_KEEP_QUOTA_PERIODS_DAYS", default=400)
# Cached answers that have expired or were removed: for so long one can still see what was wrong with them.
KEEP_CACHED_ANSWERS_DAYS: int = env.int("MUTIRAO_KEEP_CACHED_ANSWERS_DAYS", default=7)
