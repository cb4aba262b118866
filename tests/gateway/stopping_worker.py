"""A worker process with calls in its ledger that is told to stop; see tests.gateway.stopping."""

from __future__ import annotations

import os
import sys
from typing import Any

from celery.signals import worker_init, worker_ready

from mutirao.celery import app  # noqa: F401 (what `celery -A` looks for)


@worker_init.connect
def prepare(**_signal: Any) -> None:
    """By now the worker's own entry points listen, and are told first."""
    worker_ready.connect(fill)


def fill(**_signal: Any) -> None:
    """The worker's rounds have begun. Models are imported here because Django has been set up by now."""
    from agents.gateway.data import CallContext
    from agents.gateway.recording import Recording
    from foundation import batches

    if "MUTIRAO_TEST_NO_STOP" in os.environ:
        batches.stop_all = lambda **_options: None
    context = CallContext()
    for _ in range(int(os.environ["MUTIRAO_TEST_CALLS"])):
        Recording(f"scripted:{os.environ['MUTIRAO_TEST_MODEL']}", context, 4).finish()
    sys.stderr.write("Worker is running\n")
    sys.stderr.flush()
