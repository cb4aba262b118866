"""The Celery entry points. Light to import: what runs agents is loaded when a worker starts."""

from __future__ import annotations

from typing import Any

from celery import Task, shared_task
from celery.exceptions import Ignore
from celery.signals import worker_init, worker_ready, worker_shutdown, worker_shutting_down

from agents.definitions.services import sync_agents
from agents.tasks.telling import JOB
from agents.worker.process import worker


@shared_task(name=JOB, bind=True)
def run_next(self: Task[Any, Any], queue: str = "") -> dict[str, list[str]]:
    """Runs what is claimable. The result names the tasks; without any, no result is kept."""
    from agents.worker.runs import run_available

    begun = run_available(
        keeper=worker.keeper, queues=worker.queues, worker=worker.name, celery_id=self.request.id or ""
    )
    if not begun:
        raise Ignore
    return {"tasks": begun}


@worker_init.connect
def load(**_signal: Any) -> None:
    """Before the first task: the slow imports, and the agents that this worker's code defines."""
    from agents.runtime import tracing
    from agents.worker import runs  # noqa: F401

    tracing.start()
    sync_agents()


@worker_ready.connect
def begin(sender: Any, **_signal: Any) -> None:
    """The consumer is there."""
    from django.conf import settings

    names = [name.removeprefix(settings.QUEUE_PREFIX) for name in sender.app.amqp.queues.consume_from]
    worker.start(queues=names, threads=sender.controller.concurrency)


@worker_shutting_down.connect
def stop(**_signal: Any) -> None:
    """SIGTERM or SIGINT."""
    worker.stop()


@worker_shutdown.connect
def end(**_signal: Any) -> None:
    """The last thing."""
    worker.gone()
