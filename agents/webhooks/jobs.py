"""The senders live and end with the Celery worker. There is no job to send: rows are looked for, see `deliverer`."""

from __future__ import annotations

from typing import Any

from celery.signals import worker_ready, worker_shutdown, worker_shutting_down

from agents.webhooks import outbox
from agents.webhooks.deliverer import deliverer


@worker_ready.connect
def begin(**_signal: Any) -> None:
    """The worker is there; tasks that it ends itself wake its senders."""
    outbox.on_queued(deliverer.wake)
    deliverer.start()


@worker_shutting_down.connect
def stop(**_signal: Any) -> None:
    """SIGTERM or SIGINT. A signal's handler does not wait."""
    deliverer.stop()


@worker_shutdown.connect
def end(**_signal: Any) -> None:
    """The last thing: what has been sent should also be written."""
    deliverer.wait_until_idle()
