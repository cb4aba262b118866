"""What the gateway costs and what it bears, beside LiteLLM where that is installed: both ask one scripted upstream.

LiteLLM is measured from an environment of its own (see tests/benchmarks/litellm_peer.py), named by --peer.
"""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from tests.benchmarks.faulty import AT_A_TIME, CALLS, CALM, SOUND, TEXT, TROUBLES, Trouble
from tests.benchmarks.marks import Mark
from tests.site import ROOT, Site, manage
from tests.upstream import client
from tests.upstream.client import Upstream
from tests.upstream.script import OTHERS, Behaviour

ALONE = 300
TOGETHER = 3_000
THREADS = 32
# As long as it takes for memory to show whether it grows.
MANY, FEW = 30_000, 10_000
COMMAND_SECONDS = 900
# Addresses that people enter may be here. What `make up` and the image set for every process is set for ours.
HERE = {"MUTIRAO_EGRESS_ALLOWED_HOSTS": "127.0.0.1", "MUTIRAO_EGRESS_ALLOW_HTTP": "1", "MALLOC_ARENA_MAX": "2"}
OURS, PEER = "gateway", "LiteLLM"


def _marks() -> Iterator[Mark]:
    yield Mark(f"{OURS}, added to ChatOpenAI, p50", "ms", 3)
    yield Mark(f"{OURS}, added to ChatOpenAI, p95", "ms")
    yield Mark(f"{PEER}, added to openai's client, p50", "ms")
    yield Mark(f"{PEER}, added to openai's client, p95", "ms")
    yield Mark(f"{OURS}, {THREADS} at a time", "calls/s", 300, more_is_better=True)
    yield Mark(f"{OURS}, {THREADS} at a time, asynchronous", "calls/s", more_is_better=True)
    yield Mark(f"{OURS}, {THREADS} at a time, streamed", "calls/s", more_is_better=True)
    yield Mark(f"ChatOpenAI alone, {THREADS} at a time (baseline)", "calls/s", more_is_better=True)
    yield Mark(f"{PEER}, {THREADS} at a time", "calls/s", more_is_better=True)
    yield Mark(f"{PEER}, {THREADS} at a time, asynchronous", "calls/s", more_is_better=True)
    yield Mark(f"{OURS}, memory after {MANY:,} calls less that after {FEW:,}", "MB", 5)
    yield Mark(f"{OURS}, objects after {MANY:,} calls less those after {FEW:,}", "objects", 1_000)
    yield Mark(f"{OURS}, calls that are not in the ledger", "calls", 0)
    for who, goal in ((OURS, 99.0), (PEER, None)):
        for trouble in TROUBLES:
            yield Mark(f"{who}, {trouble.name}: succeeded", "%", goal, more_is_better=True)
            if not trouble.closed:  # a closed port does not count who knocks
                yield Mark(f"{who}, {trouble.name}: asked the faulty one", "calls")
            yield Mark(f"{who}, {trouble.name}: added p50", "ms")
            yield Mark(f"{who}, {trouble.name}: added p95", "ms")


GATEWAY_MARKS = tuple(_marks())


def measure_gateway(site: Site, peer: Path | None) -> dict[str, float]:
    """Mark → figure. Takes about ten minutes, most of them for memory and for LiteLLM."""
    with client.process() as upstream, client.closed_port() as closed:
        found = _ours(site, upstream, closed)
        return found | _peer(peer, upstream, closed)


def _ours(site: Site, upstream: Upstream, closed: str) -> dict[str, float]:
    given = ("--upstream", upstream.address, "--closed", closed)
    measured = manage(site.home, "measure_gateway", *given, timeout=COMMAND_SECONDS, **site.environ, **HERE)
    assert measured.returncode == 0, measured.stderr[-4000:]
    found: dict[str, float] = json.loads(measured.stdout.splitlines()[-1])
    return found


def _peer(peer: Path | None, upstream: Upstream, closed: str) -> dict[str, float]:
    if peer is None:
        sys.stderr.write(f"{PEER} is not measured: --peer names no environment that has it.\n")
        return {}
    with _talking(peer, upstream) as ask:
        sys.stderr.write(f"{PEER}: {ask({'do': 'about'})}\n")
        upstream.script({OTHERS: Behaviour()})
        added = ask({"do": "added", "calls": ALONE})
        together = ask({"do": "together", "calls": TOGETHER, "at_a_time": THREADS})
        found = {
            f"{PEER}, added to openai's client, p50": added["added_p50"],
            f"{PEER}, added to openai's client, p95": added["added_p95"],
            f"{PEER}, {THREADS} at a time": together["threads"],
            f"{PEER}, {THREADS} at a time, asynchronous": together["tasks"],
        }
        return found | troubled(PEER, upstream, lambda trouble: ask(_order(trouble, closed)))


def _order(trouble: Trouble, closed: str) -> dict[str, Any]:
    return {
        "do": "faults", "calls": CALLS, "at_a_time": AT_A_TIME, "stream": trouble.stream, "text": TEXT,
        "faulty_url": closed if trouble.closed else None,
    }  # fmt: skip


def troubled(
    who: str,
    upstream: Upstream,
    call: Callable[[Trouble], Mapping[str, Any]],
    *,
    troubles: tuple[Trouble, ...] = TROUBLES,
) -> dict[str, float]:
    """Mark → figure for every trouble; `call` makes the calls and gives `calls`, `succeeded`, `p50` and `p95`."""

    def measured(trouble: Trouble) -> Mapping[str, Any]:
        upstream.script({"faulty": trouble.behaviour(), "sound": SOUND})
        return call(trouble)

    calm = {stream: measured(trouble) for stream, trouble in CALM.items()}
    found: dict[str, float] = {}
    for trouble in troubles:
        got, usual = measured(trouble), calm[trouble.stream]
        found |= {
            f"{who}, {trouble.name}: succeeded": 100 * got["succeeded"] / got["calls"],
            f"{who}, {trouble.name}: asked the faulty one": upstream.of("faulty").requests,
            f"{who}, {trouble.name}: added p50": got["p50"] - usual["p50"],
            f"{who}, {trouble.name}: added p95": got["p95"] - usual["p95"],
        }
    return found


@contextmanager
def _talking(peer: Path, upstream: Upstream) -> Iterator[Callable[[dict[str, Any]], dict[str, Any]]]:
    """LiteLLM in its environment, which answers orders."""
    child = subprocess.Popen(
        [str(peer / "bin" / "python"), "tests/benchmarks/litellm_peer.py", "--url", upstream.url], cwd=ROOT,
        stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True,
    )  # fmt: skip

    def ask(order: dict[str, Any]) -> dict[str, Any]:
        assert child.stdin is not None
        assert child.stdout is not None
        child.stdin.write(json.dumps(order) + "\n")
        child.stdin.flush()
        line = child.stdout.readline()
        assert line, f"{PEER} has ended"
        found: dict[str, Any] = json.loads(line)
        return found

    with child:
        try:
            yield ask
        finally:
            child.terminate()
