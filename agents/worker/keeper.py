"""Keeps this process's runs alive: renews leases, hears of cancels, watches deadlines. One thread for all of them."""

from __future__ import annotations

import threading
import time
import uuid
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import timedelta

import structlog
from django.conf import settings
from django.db import DatabaseError

from agents.runtime.control import RunControl
from agents.tasks import services as tasks
from agents.tasks.data import Claim
from agents.tasks.exceptions import LeaseLost

logger = structlog.get_logger(__name__)

# How long a run may take to notice that its time is over before its thread is given up: threads cannot be killed.
GRACE = timedelta(seconds=5)


@dataclass(frozen=True, slots=True)
class Running:
    """One run of this process and how to stop it."""

    claim: Claim
    control: RunControl
    begun: float = field(default_factory=time.monotonic)

    @property
    def overdue(self) -> timedelta:
        """For how long its time has been over: by a stopwatch, since this machine's clock may be wrong."""
        return timedelta(seconds=time.monotonic() - self.begun - self.claim.limits.seconds)


class Keeper:
    """The runs of one process. `beat` is called about once a second."""

    def __init__(self) -> None:
        self._running: dict[uuid.UUID, Running] = {}
        self._lock = threading.Lock()
        self._idle = threading.Condition(self._lock)
        self.abandoned = 0
        self.is_stopping = False
        self._renewed_at = time.monotonic()
        self._has_claimed = False

    @contextmanager
    def keeping(self, claim: Claim) -> Iterator[RunControl]:
        """Keeps this run alive while it lasts."""
        running = Running(claim, RunControl())
        with self._lock:
            self._has_claimed = True
            self._running[claim.task_id] = running
            if self.is_stopping:
                running.control.cancel("stopping")
        try:
            yield running.control
        finally:
            with self._lock:
                if self._running.get(claim.task_id) is running:
                    del self._running[claim.task_id]
                self._idle.notify_all()

    def runs(self) -> list[Running]:
        """What runs now, less what has been given up."""
        with self._lock:
            return list(self._running.values())

    def beat(self) -> None:
        """One round: lost leases and cancels are passed on, runs past their deadline are stopped, then given up."""
        runs = self.runs()
        begun = time.monotonic()
        if not runs:
            self._renewed_at = begun
            return
        try:
            renewed = tasks.renew([run.claim for run in runs])
        except DatabaseError:
            self._stop_what_is_no_longer_ours(runs)
            raise
        self._renewed_at = begun
        for run in runs:
            if run.claim.task_id in renewed.lost:
                run.control.cancel("lease_lost")
            elif run.claim.task_id in renewed.cancelled:
                run.control.cancel("cancelled")
            if run.overdue > GRACE:
                self._abandon(run)
            elif run.overdue > timedelta(0):
                run.control.cancel("deadline")

    def take_note_of_claims(self) -> bool:
        """Whether anything was claimed since this was last asked."""
        claimed, self._has_claimed = self._has_claimed, False
        return claimed

    @property
    def silent_seconds(self) -> float:
        """For how long the leases of what runs here have not been renewed."""
        return time.monotonic() - self._renewed_at

    def _stop_what_is_no_longer_ours(self, runs: list[Running]) -> None:
        """Without a heartbeat for as long as a lease, others may have taken these tasks up already."""
        if self.silent_seconds < settings.LEASE_SECONDS:
            return
        for run in runs:
            if not run.control.reason:
                logger.error("run_stopped_without_heartbeat", task_id=str(run.claim.task_id), fence=run.claim.fence)
            run.control.cancel("lease_lost")

    def stop(self) -> None:
        """Tells every run to stop and give its task back; new ones are told at once."""
        with self._lock:
            self.is_stopping = True
            for run in self._running.values():
                run.control.cancel("stopping")

    def wait_until_idle(self, *, within: float) -> bool:
        """Whether all runs have ended in time (seconds)."""
        with self._lock:
            return self._idle.wait_for(lambda: not self._running, timeout=within)

    def give_back_the_rest(self) -> None:
        """Fences off the runs that would not stop, so that another worker takes their tasks up at once."""
        for run in self.runs():
            self._end(run, lambda run: tasks.hand_back(claim=run.claim))

    def _abandon(self, run: Running) -> None:
        """Ends the attempt without its thread; whatever that thread still tries to write is refused."""
        logger.error("run_abandoned", task_id=str(run.claim.task_id), fence=run.claim.fence)
        self._end(run, lambda run: tasks.time_out(claim=run.claim))
        with self._lock:
            self._running.pop(run.claim.task_id, None)
            self.abandoned += 1

    def _end(self, run: Running, end: Callable[[Running], object]) -> None:
        run.control.cancel("lease_lost")
        try:
            end(run)
        except (LeaseLost, DatabaseError) as error:
            logger.warning("run_not_ended", task_id=str(run.claim.task_id), error=str(error))
