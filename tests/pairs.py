"""Two web and two worker processes on one platform, and its metrics seen from outside."""

from __future__ import annotations

import subprocess
import sys
from collections import defaultdict
from collections.abc import Iterator, Mapping
from contextlib import contextmanager

from prometheus_client.parser import text_string_to_metric_families

from mutirao.embedded import free_port
from tests.site import ROOT, Site, base_environ


def metrics_of(site: Site) -> dict[tuple[str, ...], float]:
    """(sample, label values in the order of their names) → value."""
    status, text = site.request("GET", "/metrics")
    assert status == 200, text
    found: dict[tuple[str, ...], float] = defaultdict(float)
    for family in text_string_to_metric_families(text.decode() if isinstance(text, bytes) else text):
        for sample in family.samples:
            found[(sample.name, *(value for _, value in sorted(sample.labels.items())))] += sample.value
    return found


def total(found: Mapping[tuple[str, ...], float], name: str, *values: str) -> int:
    """The sum of a sample over all label sets that contain these values."""
    return int(sum(value for key, value in found.items() if key[0] == name and set(values) <= set(key[1:])))


@contextmanager
def second_pair(site: Site, *, threads: int = 4) -> Iterator[Site]:
    """One more web and one more worker process on the same platform; gives a site that talks to that web. What the
    two print is in `second.log` of the site's folder.
    """
    port = free_port()
    environ = base_environ(site.home, **site.environ)
    commands = [
        ["uvicorn", "mutirao.asgi:application", "--port", str(port), "--no-access-log", "--log-level", "warning",
         "--no-proxy-headers"],
        ["celery", "-A", "mutirao", "worker", "--pool", "threads", "--concurrency", str(threads), "--without-gossip",
         "--without-mingle", "--loglevel", "WARNING", "--queues", _queues(site), "--hostname", "second@%h"],
    ]  # fmt: skip
    log = (site.home / "second.log").open("w")
    started = [
        subprocess.Popen([sys.executable, "-m", *command], cwd=ROOT, env=environ, stdout=log, stderr=log)
        for command in commands
    ]
    other = Site(site.home, site.environ, port=port, key=site.key)
    try:
        site.wait(other.is_ready, within=100)
        site.wait(lambda: total(metrics_of(site), "mutirao_worker_up") == 2, within=100)
        yield other
    finally:
        for process in started:
            process.terminate()
        for process in started:
            process.wait(timeout=30)
        log.close()


def _queues(site: Site) -> str:
    prefix = site.environ.get("MUTIRAO_QUEUE_PREFIX", "")
    return ",".join(f"{prefix}{name}" for name in ("interactive", "background"))
