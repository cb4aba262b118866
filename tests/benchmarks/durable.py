"""What durable execution costs: many submits on two of each process, an idle worker, many model calls at once."""

from __future__ import annotations

import json
import tempfile
import threading
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import datetime
from http.client import HTTPException
from pathlib import Path
from statistics import quantiles
from typing import Any

from tests.benchmarks.marks import AGENT, PLATFORM, TASKS, Client
from tests.gateway.upstream import Answer, upstream
from tests.pairs import second_pair
from tests.site import Site, running

RATE = 50
SECONDS = 60
SENDERS = 40
LOCKED = "database is locked"
# How long the workers may take to catch up once nobody submits any more.
CATCH_UP_SECONDS = 180

IDLE_SECONDS = 30
SETTLE_SECONDS = 10

CALLS = 50
CALL_SECONDS = 2.0
MODEL = {"OPENAI_API_KEY": "of-this-measurement", "MUTIRAO_DEFAULT_MODEL": "openai:slow"}


def measure_durable(environ: Mapping[str, str]) -> dict[str, float]:
    """Mark → figure; on platforms of its own."""
    with _platform(**environ) as site:
        found = {"idle worker": _idle(site)}
        if "DATABASE_URL" not in environ:
            found |= _stream_of_submits(site)
    return found | _many_calls(environ)


@contextmanager
def _platform(**environ: str) -> Iterator[Site]:
    with (
        tempfile.TemporaryDirectory(prefix="mutirao-bench-") as folder,
        running(Path(folder), **PLATFORM | environ) as site,
    ):
        site.make_key()
        yield site


def _idle(site: Site) -> float:
    """Per cent of one processor that a worker without work takes."""
    worker = site.child("worker")
    time.sleep(SETTLE_SECONDS)
    began, before = time.monotonic(), worker.cpu_times()
    time.sleep(IDLE_SECONDS)
    after = worker.cpu_times()
    used = after.user + after.system - before.user - before.system
    return 100 * used / (time.monotonic() - began)


@dataclass
class Heard:
    """What the senders were told: milliseconds from the moment a request was due, statuses, locked databases."""

    latencies: list[float] = field(default_factory=list)
    refused: list[str] = field(default_factory=list)
    locked: int = 0


def _stream_of_submits(site: Site) -> dict[str, float]:
    """RATE submits a second, sent when they are due whether or not earlier ones were answered."""
    with second_pair(site, threads=8) as other:
        heard = Heard()
        began = time.perf_counter() + 0.5
        senders = [
            threading.Thread(target=_send, args=((site, other)[number % 2], number, began, heard))
            for number in range(SENDERS)
        ]
        for sender in senders:
            sender.start()
        for sender in senders:
            sender.join()
        took = time.perf_counter() - began
        left = _left_after_a_while(site)
    logs = [*site.lines, *(site.home / "second.log").read_text().splitlines()]
    return {
        "50 submits/s for 60 s, 2 web + 2 workers, sent": len(heard.latencies) / took,
        "50 submits/s for 60 s, 2 web + 2 workers, accept p99": quantiles(heard.latencies, n=100)[-1],
        "50 submits/s for 60 s, 2 web + 2 workers, not 202": len(heard.refused),
        "50 submits/s for 60 s, 2 web + 2 workers, “database is locked”": heard.locked
        + sum(LOCKED in line for line in logs),
        "50 submits/s for 60 s, 2 web + 2 workers, not succeeded": left,
    }


def _send(site: Site, number: int, began: float, heard: Heard) -> None:
    client = Client(site)
    for turn in range(number, RATE * SECONDS, SENDERS):
        due = began + turn / RATE
        time.sleep(max(0.0, due - time.perf_counter()))
        try:
            status, text = client.call("POST", TASKS, {"agent": AGENT, "input": {"value": turn}})
        except (OSError, HTTPException) as error:
            client.connection.close()
            status, text = 0, str(error).encode()
        heard.latencies.append((time.perf_counter() - due) * 1000)
        heard.locked += LOCKED in text.decode(errors="replace")
        if status != 202:
            heard.refused.append(f"{status} {text[:200]!r}")
    client.connection.close()


def _left_after_a_while(site: Site) -> int:
    """How many of the tasks have not succeeded once the workers had time to catch up."""
    deadline = time.monotonic() + CATCH_UP_SECONDS
    while (left := _count(site, "exclude(status='succeeded')")) and time.monotonic() < deadline:
        time.sleep(2)
    return left


def _count(site: Site, which: str) -> int:
    code = f"from agents.tasks.models import Task; print(Task.objects.{which}.count())"
    ran = site.manage("shell", "--no-imports", "-c", code)
    assert ran.returncode == 0, ran.stderr
    return int(ran.stdout.strip().splitlines()[-1])


def _many_calls(environ: Mapping[str, str]) -> dict[str, float]:
    """CALLS tasks at a time in one worker process, each with a model call of CALL_SECONDS."""
    with (
        upstream(Answer(delay=CALL_SECONDS)) as model,
        _platform(**environ, **MODEL, OPENAI_BASE_URL=model.url, MUTIRAO_WORKER_THREADS=str(CALLS)) as site,
    ):
        # Twice, because the first calls load what calls need.
        for _ in range(2):
            seconds, memory = _call_together(site, CALLS)
        assert len(model.requests) == 2 * CALLS
    return {
        "50 model calls of 2 s in one worker": seconds,
        "50 model calls of 2 s in one worker, memory": memory,
    }


def _call_together(site: Site, count: int) -> tuple[float, float]:
    """Seconds from the first submit to the last end, and the worker's most memory in MB."""
    worker, peak, is_over = site.child("worker"), [0.0], threading.Event()

    def watch() -> None:
        while not is_over.wait(0.05):
            peak[0] = max(peak[0], worker.memory_info().rss / 1_000_000)

    watcher = threading.Thread(target=watch)
    watcher.start()
    try:
        began = time.time()
        ids = _submit_together(site, count)
        ends = [_end_of(site, task_id) for task_id in ids]
    finally:
        is_over.set()
        watcher.join()
    return max(ends) - began, peak[0]


def _submit_together(site: Site, count: int, *, at_a_time: int = 5) -> Sequence[str]:
    ids: list[str] = []

    def submit() -> None:
        client = Client(site)
        for _ in range(count // at_a_time):
            status, text = client.call("POST", TASKS, {"agent": "assistant", "input": "Good day"})
            assert status == 202, text
            ids.append(json.loads(text)["id"])
        client.connection.close()

    threads = [threading.Thread(target=submit) for _ in range(at_a_time)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(ids) == count, "a submit failed"
    return ids


def _end_of(site: Site, task_id: str) -> float:
    """When the task succeeded, in seconds of the clock."""

    def ended() -> Any:
        task = site.request("GET", f"{TASKS}/{task_id}")[1]
        return task if task["finished_at"] else None

    task = site.wait(ended, within=60)
    assert task["status"] == "succeeded", task
    return datetime.fromisoformat(task["finished_at"]).timestamp()
