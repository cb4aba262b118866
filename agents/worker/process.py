"""What a worker process does beside running tasks: heartbeat, sweeping, firing what is due, a row that says it lives,
and a clean stop."""

from __future__ import annotations

import os
import random
import secrets
import socket
import threading
from collections.abc import Callable, Sequence
from datetime import timedelta

import structlog
from django.conf import settings
from django.core.cache import cache
from django.utils import timezone

from accounts.seals import tend
from agents.runtime.housekeeping import forget_finished
from agents.schedules import services as schedules
from agents.tasks import services as tasks
from agents.worker.alone import Alone
from agents.worker.keeper import Keeper
from agents.worker.models import WorkerProcess
from foundation import batches
from foundation.pruning import prune
from foundation.threads import close_connections, release_connections
from telemetry.farewell import send_the_rest
from telemetry.serving import serve

logger = structlog.get_logger(__name__)

BEAT_SECONDS = 1.0
# A due time is noticed about that late; a round that finds none is one query.
TICK_SECONDS = 1.0
SIGN_OF_LIFE_SECONDS = 5.0
HOUSEKEEPING_SECONDS = 30.0
PRUNING_SECONDS = 300.0
# One worker of all prunes, once an hour, and never for long.
PRUNE_EVERY_SECONDS = 3600
PRUNE_WITHIN_SECONDS = 60.0
FORGET_WORKERS_AFTER = timedelta(days=1)
# The exit code of a worker that cannot go on (its threads never came back, or it cannot say that it lives): whoever
# supervises it starts a new one.
EXIT_EXHAUSTED = 70
MOST_ABANDONED = 3
# Without a heartbeat for so many leases the process ends; its runs were stopped after the first.
MOST_SILENT_LEASES = 3


class Worker:
    """One worker process, from ready to gone."""

    def __init__(self) -> None:
        # In a container the next process has the same id.
        self.name = f"{socket.gethostname()}-{os.getpid()}-{secrets.token_hex(3)}"
        self.keeper = Keeper()
        self._alone = Alone(self.name)
        self._has_polled = False
        self.queues: Sequence[str] = settings.WORKER_QUEUES
        self._threads = settings.WORKER_THREADS
        self._over = threading.Event()

    def start(self, *, queues: Sequence[str], threads: int) -> None:
        """Begins the rounds."""
        self.queues, self._threads = queues, threads
        batches.start_all()
        if settings.WORKER_METRICS_PORT:
            serve(host=settings.WORKER_METRICS_HOST, port=settings.WORKER_METRICS_PORT)
        for name, seconds, work in (
            ("heartbeat", BEAT_SECONDS, self._beat),
            ("sweeper", settings.SWEEP_SECONDS, self._sweep),
            ("scheduler", TICK_SECONDS, schedules.tick),
            ("sign-of-life", SIGN_OF_LIFE_SECONDS, self._show_life),
            ("housekeeper", HOUSEKEEPING_SECONDS, self._tidy),
            ("pruner", PRUNING_SECONDS, self._prune),
            ("notary", HOUSEKEEPING_SECONDS, tend),
        ):
            threading.Thread(target=self._repeat, args=(name, seconds, work), name=name, daemon=True).start()

    def stop(self) -> None:
        """Tells the runs to stop, and ends the process when they do not: Celery waits for its threads without end."""
        self.keeper.stop()
        self._alone.stop()
        threading.Thread(target=self._insist, name="stopper", daemon=True).start()

    def gone(self) -> None:
        """Leaves nothing behind."""
        self._over.set()
        batches.stop_all()
        send_the_rest()
        WorkerProcess.objects.filter(name=self.name).delete()
        close_connections()

    def _insist(self) -> None:
        if self.keeper.wait_until_idle(within=settings.CELERY_WORKER_SOFT_SHUTDOWN_TIMEOUT):
            return
        self.keeper.give_back_the_rest()
        self._leave(0)

    def _leave(self, code: int) -> None:
        self.gone()
        os._exit(code)

    def _beat(self) -> None:
        try:
            self.keeper.beat()
        finally:
            if self.keeper.silent_seconds > MOST_SILENT_LEASES * settings.LEASE_SECONDS:
                logger.error("worker_without_heartbeat", seconds=round(self.keeper.silent_seconds))
                os._exit(EXIT_EXHAUSTED)
        if self.keeper.abandoned >= min(MOST_ABANDONED, self._threads) and not self.keeper.is_stopping:
            logger.error("worker_exhausted", abandoned=self.keeper.abandoned)
            self.keeper.stop()
            self._alone.stop()
            self.keeper.wait_until_idle(within=settings.CELERY_WORKER_SOFT_SHUTDOWN_TIMEOUT)
            self.keeper.give_back_the_rest()
            self._leave(EXIT_EXHAUSTED)

    def _sweep(self) -> None:
        """Also the worker's own poll: it looks for work that nobody has announced."""
        tasks.sweep()
        self._has_polled = True
        if not self.keeper.is_stopping:
            self._alone.run(self.queues)

    def _show_life(self) -> None:
        """Alive is who has polled or claimed lately; who only ticks is not."""
        if not (self._has_polled or self.keeper.take_note_of_claims()):
            return
        self._has_polled = False
        WorkerProcess.objects.update_or_create(
            name=self.name,
            defaults={
                "pid": os.getpid(), "queues": list(self.queues), "threads": self._threads, "polled_at": timezone.now(),
            },
        )  # fmt: skip

    def _tidy(self) -> None:
        forget_finished()
        WorkerProcess.objects.filter(polled_at__lt=timezone.now() - FORGET_WORKERS_AFTER).delete()

    def _prune(self) -> None:
        """What is older than this installation keeps (KEEP_…_DAYS)."""
        if settings.PRUNES_ITSELF and cache.add("mutirao:pruned", self.name, PRUNE_EVERY_SECONDS):
            done = prune(within=PRUNE_WITHIN_SECONDS)
            if done:
                logger.info("pruned", **done)

    def _repeat(self, name: str, seconds: float, work: Callable[[], object]) -> None:
        """For ever; a round that fails is logged, and the next one may do better."""
        while not self._over.is_set():
            try:
                work()
            except Exception:
                logger.exception("round_failed", round=name)
                close_connections()
            release_connections()
            # Not all workers at once.
            self._over.wait(seconds * (0.8 + 0.4 * random.random()))  # noqa: S311


worker = Worker()
