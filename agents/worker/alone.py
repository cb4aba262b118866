"""Tasks that may have killed their process run in one of their own, so that they can do no harm to others.

The worker's sweeper starts it when there is such a task. It runs one task after the other and ends when there is none.
"""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import threading
from collections.abc import Sequence

import structlog
from django.conf import settings

from agents.tasks.services import reserve_suspects
from agents.worker.keeper import Keeper
from foundation import batches
from foundation.threads import release_connections

logger = structlog.get_logger(__name__)

COMMAND = "run_alone"
BEAT_SECONDS = 1.0


class Alone:
    """The process that a worker has beside itself, when it needs one."""

    def __init__(self, worker: str) -> None:
        self._worker = worker
        self._process: subprocess.Popen[bytes] | None = None
        self._lock = threading.Lock()
        self._is_stopping = False

    @property
    def is_running(self) -> bool:
        """Whether it has one now."""
        return self._process is not None and self._process.poll() is None

    def run(self, queues: Sequence[str]) -> None:
        """Starts the process when it is needed and not there."""
        if self.is_running or not reserve_suspects(queues):
            return
        command = [sys.executable, "-m", "django", COMMAND, "--worker", self._worker, *queues]
        with self._lock:
            if self._is_stopping:
                return
            logger.warning("suspects_run_alone", worker=self._worker)
            # It notices by itself when this process is gone, and gives its task back.
            self._process = subprocess.Popen(  # noqa: S603 (our own command)
                command, env={**os.environ, "DJANGO_SETTINGS_MODULE": settings.SETTINGS_MODULE}, start_new_session=True
            )

    def stop(self) -> None:
        """Asks it to give back what it runs, and to end."""
        with self._lock:
            self._is_stopping = True
            if self._process is not None and self._process.poll() is None:
                self._process.send_signal(signal.SIGTERM)


def run_suspects(*, keeper: Keeper, queues: Sequence[str], worker: str) -> int:
    """Runs what may have killed its process, one after the other, until there is nothing; how many tasks.

    Ends early, giving the task back, when the keeper is stopped, and when the process that has started this one is
    gone.
    """
    from agents.worker.runs import run_available

    over, parent = threading.Event(), os.getppid()

    def beat() -> None:
        while not over.wait(BEAT_SECONDS):
            if os.getppid() != parent:
                keeper.stop()
            try:
                keeper.beat()
            except Exception:
                logger.exception("round_failed", round="heartbeat")
            release_connections()
            _end_what_does_not_stop(keeper)

    batches.start_all()
    threading.Thread(target=beat, name="heartbeat", daemon=True).start()
    done = 0
    while not keeper.is_stopping:
        begun = run_available(
            keeper=keeper, queues=queues, worker=f"{worker}-alone-{os.getpid()}", celery_id="", suspects=True
        )
        done += len(begun)
        if not begun:
            break
    over.set()
    batches.stop_all()
    return done


def _end_what_does_not_stop(keeper: Keeper) -> None:
    """A run that was given up, or would not stop: its thread is this process's only one."""
    if keeper.abandoned or (keeper.is_stopping and not keeper.wait_until_idle(within=_patience())):
        keeper.give_back_the_rest()
        batches.stop_all()
        os._exit(0)


def _patience() -> float:
    return float(settings.CELERY_WORKER_SOFT_SHUTDOWN_TIMEOUT) / 2
