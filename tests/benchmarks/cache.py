"""What the answer cache takes: in process, and over HTTP in a chat."""

from __future__ import annotations

import json
import time
from statistics import median, quantiles

from tests.benchmarks.marks import Mark
from tests.site import Site

LOOKED_AT = 200
IN_SCOPE = 10_000
MANY = 100_000
AGENT, TEXT = "echo", "Hello, how are you today?"
COMMAND_SECONDS = 900

CACHE_MARKS = (
    Mark("exact hit, p50", "ms", 2),
    Mark("exact hit from Redis, p50", "ms", 2),
    Mark("exact hit from the database, p50", "ms"),
    Mark(f"semantic hit, {IN_SCOPE:,} entries in scope, p50", "ms", 15),
    Mark(f"semantic hit, {IN_SCOPE:,} entries in scope, served", "%", more_is_better=True),
    Mark("of that, the embedding, p50", "ms"),
    Mark(f"{MANY:,} entries in one scope, memory", "MB", 200),
    Mark(f"{MANY:,} entries in one scope, read for the first time", "s"),
    Mark(f"{MANY:,} entries in one scope, the nearest of them, p50", "ms"),
    Mark("chat answer from the cache over HTTP, p50", "ms", 50),
    Mark("chat answer from the cache over HTTP, p95", "ms"),
    Mark("task without a model over HTTP (baseline), p50", "ms"),
)


def measure_cache(site: Site) -> dict[str, float]:
    """Mark → figure."""
    over_http = _chat(site)
    measured = site.manage("measure_cache", timeout=COMMAND_SECONDS)
    assert measured.returncode == 0, measured.stderr[-4000:]
    found: dict[str, float] = json.loads(measured.stdout.splitlines()[-1])
    return found | over_http


def _chat(site: Site) -> dict[str, float]:
    """From posting a message, the first of its conversation, to its answer, which the cache has."""
    for _warm in range(10):
        _said(site)
    took = [_said(site, is_cached=True) for _ in range(LOOKED_AT // 2)]
    return {
        "task without a model over HTTP (baseline), p50": median(_ran(site) for _ in range(LOOKED_AT // 2)),
        "chat answer from the cache over HTTP, p50": median(took),
        "chat answer from the cache over HTTP, p95": quantiles(took, n=20)[-1],
    }


def _said(site: Site, *, is_cached: bool = False) -> float:
    status, conversation = site.request("POST", "/api/v1/conversations", {"agent": AGENT})
    assert status == 201, conversation
    began = time.perf_counter()
    _status, posted = site.request(
        "POST", f"/api/v1/conversations/{conversation['id']}/messages", {"text": TEXT}, Prefer="wait=30"
    )
    took = (time.perf_counter() - began) * 1000
    assert posted["reply"]["content"] == TEXT, posted
    # What is given costs nothing.
    assert not is_cached or posted["task"]["usage"]["input_tokens"] == 0, posted
    return took


def _ran(site: Site) -> float:
    """What the platform itself takes, on the same machine at the same time."""
    began = time.perf_counter()
    _status, task = site.request(
        "POST", "/api/v1/tasks", {"agent": "one-node", "input": {"value": 1}}, Prefer="wait=30"
    )
    took = (time.perf_counter() - began) * 1000
    assert task["status"] == "succeeded", task
    return took
