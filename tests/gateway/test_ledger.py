"""The ledger of model calls: off the path, and none is lost on a normal stop."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import threading
import uuid
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pytest
from django.db import OperationalError, connection

from agents.gateway import ledger
from agents.gateway.data import CallContext
from agents.gateway.models import ModelCall
from agents.gateway.recording import Recording
from foundation import batches
from tests.tasks.threads import at_once

ROOT = Path(__file__).resolve().parents[2]
CALLS = 1_000


def _database_url() -> str:
    """Of the test's own database."""
    found = connection.settings_dict
    if connection.vendor == "sqlite":
        return f"sqlite:///{found['NAME']}"
    return f"postgres://{found['USER']}:{found['PASSWORD']}@{found['HOST']}:{found['PORT']}/{found['NAME']}"


WEB = ("uvicorn", "tests.gateway.stopping:application", "--port", "0")
WORKER = (
    "celery", "--quiet", "-A", "tests.gateway.stopping_worker", "worker", "--pool", "threads", "--concurrency", "1",
    "--queues", "stopping", "--without-gossip", "--without-mingle", "--loglevel", "WARNING",
)  # fmt: skip


def _rows_after_a_stop(module: Sequence[str], stop: signal.Signals, tmp_path: Path, **environ: str) -> int:
    """How many rows a process with 1,000 calls in its ledger leaves behind."""
    model = f"m-{uuid.uuid4().hex[:8]}"
    more = {
        "DATABASE_URL": _database_url(), "MUTIRAO_LEDGER_SECONDS": "3600", "MUTIRAO_TEST_CALLS": str(CALLS),
        "MUTIRAO_TEST_MODEL": model, "DJANGO_SETTINGS_MODULE": "mutirao.settings", "MUTIRAO_HOME": str(tmp_path),
    }  # fmt: skip
    command = [sys.executable, "-m", *module]
    process = subprocess.Popen(
        command, cwd=ROOT, env=os.environ | more | environ, stderr=subprocess.PIPE, text=True, start_new_session=True
    )
    with process:
        try:
            _wait_until_it_runs(process)
            assert ModelCall.objects.filter(model=model).count() == 0
            process.send_signal(stop)
            process.communicate(timeout=60)
        finally:
            process.kill()
    return ModelCall.objects.filter(model=model).count()


def _wait_until_it_runs(process: subprocess.Popen[str]) -> None:
    assert process.stderr is not None
    said = []
    for line in process.stderr:
        said.append(line)
        if "Uvicorn running" in line or "Worker is running" in line:
            return
    pytest.fail("".join(said))


@pytest.mark.django_db(transaction=True)
class TestStopping:
    def test_a_web_process_that_is_stopped_writes_all_that_waits(self, tmp_path: Path) -> None:
        assert _rows_after_a_stop(WEB, signal.SIGTERM, tmp_path) == CALLS

    def test_a_worker_that_is_stopped_writes_all_that_waits(self, tmp_path: Path) -> None:
        assert _rows_after_a_stop(WORKER, signal.SIGTERM, tmp_path) == CALLS

    @pytest.mark.parametrize("module", [WEB, WORKER])
    def test_without_the_stop_they_would_be_lost(self, module: Sequence[str], tmp_path: Path) -> None:
        assert _rows_after_a_stop(module, signal.SIGTERM, tmp_path, MUTIRAO_TEST_NO_STOP="1") == 0


@pytest.fixture
def writer(settings: Any) -> Any:
    """The ledger's own thread, as in a web process or a worker."""
    settings.LEDGER_SECONDS = 0.01
    ledger.calls.start()
    yield ledger.calls
    thread = ledger.calls.end(within=10)
    if thread is not None:
        thread.join(10)


def _finish(count: int = 1) -> None:
    context = CallContext()
    for _ in range(count):
        Recording("scripted:echo", context, 4).finish()


def _stop(writer: Any) -> None:
    thread = writer.end(within=10)
    assert thread is not None
    thread.join(10)


@pytest.mark.django_db(transaction=True)
def test_calls_of_many_threads_are_all_written_once(writer: Any) -> None:
    at_once(lambda _number: _finish(50), 8)
    _stop(writer)
    assert ModelCall.objects.count() == 400


@pytest.mark.django_db(transaction=True)
def test_an_outage_delays_rows_and_loses_none(writer: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    met = threading.Event()
    lost = writer.lost

    def away(*_args: object, **_options: object) -> None:
        met.set()
        raise OperationalError

    with monkeypatch.context() as outage:
        outage.setattr(type(ModelCall.objects), "bulk_create", away)
        _finish(20)
        assert met.wait(10)
        assert ModelCall.objects.count() == 0
    _stop(writer)
    assert (ModelCall.objects.count(), writer.lost) == (20, lost)


@pytest.mark.django_db(transaction=True)
def test_a_batch_that_is_written_twice_is_there_once(monkeypatch: pytest.MonkeyPatch) -> None:
    columns: list[Any] = []
    monkeypatch.setattr(ledger.calls, "add", columns.append)
    _finish()
    ledger._write(columns)
    ledger._write(columns)
    assert ModelCall.objects.count() == 1


@pytest.mark.django_db
def test_a_process_without_a_writer_writes_at_once() -> None:
    _finish()
    assert ModelCall.objects.count() == 1


@pytest.mark.django_db(transaction=True)
def test_finishing_a_call_asks_nothing_of_the_database(writer: Any, django_assert_num_queries: Any) -> None:
    with django_assert_num_queries(0):
        _finish(10)


def test_the_ledger_is_started_and_stopped_with_everything_else() -> None:
    assert batches._all["model calls"] is ledger.calls
    assert {"spans", "model calls"} <= batches._all.keys()
