"""Sends what is due, in threads of its own, so that no slow receiver holds up an agent."""

from __future__ import annotations

import random
import threading
from collections import Counter

import structlog
from django.conf import settings

from agents.webhooks import sending
from agents.webhooks.sending import Taken
from foundation.threads import close_connections, release_connections

logger = structlog.get_logger(__name__)

# A stopping worker waits this long for what is on its way; the rest is sent again when its lease is over.
FAREWELL_SECONDS = 5.0


class Deliverer:
    """The senders of one worker process: one thread that looks, and few that send.

    Several processes may do so at once: rows are taken by fence. `wake` makes it look now.
    """

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._changed = threading.Condition(self._lock)
        self._news = False
        self._is_over = True
        self._busy: Counter[str] = Counter()

    def start(self) -> None:
        """Begins to look."""
        with self._lock:
            if not self._is_over:
                return
            self._is_over, self._news = False, True
        threading.Thread(target=self._look, name="webhooks", daemon=True).start()

    def wake(self) -> None:
        """Something may be due."""
        with self._changed:
            self._news = True
            self._changed.notify_all()

    def stop(self) -> None:
        """Takes nothing more."""
        with self._changed:
            self._is_over = True
            self._changed.notify_all()

    def wait_until_idle(self, *, within: float = FAREWELL_SECONDS) -> bool:
        """Whether what was on its way has come to its end in time (seconds)."""
        with self._changed:
            return self._changed.wait_for(lambda: not self._busy.total(), timeout=within)

    def _look(self) -> None:
        while True:
            try:
                self._send_what_is_due()
            except Exception:
                logger.exception("webhook_round_failed")
                close_connections()
            release_connections()
            # Not all workers at once.
            pause = settings.WEBHOOK_POLL_SECONDS * (0.8 + 0.4 * random.random())  # noqa: S311
            with self._changed:
                self._changed.wait_for(lambda: self._news or self._is_over, timeout=pause)
                self._news = False
                if self._is_over:
                    close_connections()
                    return

    def _send_what_is_due(self) -> None:
        while True:
            with self._lock:
                if self._is_over or self._busy.total() >= settings.WEBHOOK_THREADS:
                    return
                full = [host for host, count in self._busy.items() if count >= settings.WEBHOOK_THREADS_OF_HOST]
            taken = sending.take(not_to=full)
            if taken is None:
                return
            host = taken.delivery.host
            with self._lock:
                self._busy[host] += 1
            threading.Thread(target=self._send, args=(taken, host), name="webhook", daemon=True).start()

    def _send(self, taken: Taken, host: str) -> None:
        try:
            sending.deliver(taken)
        except Exception:
            # Nothing is lost: the lease ends, and it is sent again.
            logger.exception("webhook_not_written", delivery_id=str(taken.delivery.pk))
        finally:
            close_connections()
            with self._changed:
                self._busy -= Counter({host: 1})
                # There is room for the next.
                self._news = True
                self._changed.notify_all()


deliverer = Deliverer()
