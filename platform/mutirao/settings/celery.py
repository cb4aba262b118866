"""Celery carries wake-ups; the task rows are the truth, so a lost message is healed by the sweeper."""

from __future__ import annotations

from mutirao.settings.environment import env
from mutirao.settings.redis import REDIS_PREFIX, REDIS_URL

CELERY_BROKER_URL: str = env("CELERY_BROKER_URL", default=REDIS_URL) or "memory://"
CELERY_RESULT_BACKEND = "django-db"
CELERY_RESULT_EXTENDED = True
CELERY_TASK_ACKS_LATE = False
CELERY_TASK_DEFAULT_QUEUE = "interactive"
CELERY_TASK_SERIALIZER = "json"
CELERY_ACCEPT_CONTENT = ["json"]
CELERY_TIMEZONE = "UTC"
CELERY_WORKER_POOL = "threads"
CELERY_WORKER_PREFETCH_MULTIPLIER = 1
CELERY_WORKER_SEND_TASK_EVENTS = False
CELERY_WORKER_HIJACK_ROOT_LOGGER = False
CELERY_WORKER_SOFT_SHUTDOWN_TIMEOUT = env.float("MUTIRAO_WORKER_STOP_SECONDS", default=10)
CELERY_WORKER_CANCEL_LONG_RUNNING_TASKS_ON_CONNECTION_LOSS = False
CELERY_BROKER_CONNECTION_RETRY_ON_STARTUP = True
# Telling is a courtesy: it may not hold up the caller who has already been accepted.
CELERY_BROKER_CONNECTION_TIMEOUT = 2
CELERY_TASK_PUBLISH_RETRY = False
CELERY_BROKER_TRANSPORT_OPTIONS = (
    {"confirm_publish": True}
    if CELERY_BROKER_URL.startswith("amqp")
    else {
        "global_keyprefix": f"{REDIS_PREFIX}:celery:",
        "socket_connect_timeout": 2,
        "socket_timeout": 5,
        "health_check_interval": 20,
    }
)
# Messages are hints that run for as long as the task does; they are acknowledged early, so nothing is redelivered.
CELERY_RESULT_EXPIRES = 7 * 24 * 3600

# How many tasks one worker process runs at a time.
WORKER_THREADS: int = env.int("MUTIRAO_WORKER_THREADS", default=8)
WORKER_QUEUES: list[str] = env.list("MUTIRAO_WORKER_QUEUES", default=["interactive", "background"])
# A lease lasts this long and is renewed three times within it.
LEASE_SECONDS: int = env.int("MUTIRAO_LEASE_SECONDS", default=30)
SWEEP_SECONDS: float = env.float("MUTIRAO_SWEEP_SECONDS", default=2)

# What a task gets when neither its agent nor its caller says otherwise.
TASK_LIMIT_SECONDS: int = env.int("MUTIRAO_TASK_SECONDS", default=600)
TASK_LIMIT_STEPS: int = env.int("MUTIRAO_TASK_STEPS", default=50)
TASK_MAX_ATTEMPTS: int = env.int("MUTIRAO_TASK_ATTEMPTS", default=3)
# How many tasks may wait in a queue of which its row says nothing else; more are refused.
QUEUE_MOST_WAITING: int = env.int("MUTIRAO_QUEUE_MOST_WAITING", default=100_000)
# For so long a process goes on with what it knows of paused queues and of whether there are concurrency limits.
TASK_SETTINGS_CACHE_SECONDS: float = 1.0
# Keeps installations that share a broker apart; on Redis the key prefix does.
QUEUE_PREFIX: str = env("MUTIRAO_QUEUE_PREFIX", default="")
