"""The budget of connections that docs/scale.md promises, counted on the server while everything is busy."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import psycopg
import pytest

from tests.e2e.conftest import ENVIRON, back_end
from tests.environment import GIVEN
from tests.pairs import second_pair
from tests.site import Site, running

POOL, THREADS, PROCESSES = 3, 24, 4
SLOW, PARALLEL, STREAMS = 40, 20, 20
TASKS = "/api/v1/tasks"


@contextmanager
def counted(environ: dict[str, str]) -> Iterator[list[int]]:
    """How many clients the database has, every 20 ms, as long as this lasts."""
    server, _, name = environ["DATABASE_URL"].rpartition("/")
    found: list[int] = []
    is_over = threading.Event()

    def count() -> None:
        with psycopg.connect(f"{server}/postgres", autocommit=True) as connection:
            while not is_over.wait(0.02):
                row = connection.execute("SELECT count(*) FROM pg_stat_activity WHERE datname = %s", [name]).fetchone()
                assert row is not None
                found.append(row[0])

    thread = threading.Thread(target=count)
    thread.start()
    try:
        yield found
    finally:
        is_over.set()
        thread.join()


@pytest.mark.timeout(300)
@pytest.mark.skipif("DATABASE_URL" not in GIVEN, reason="SQLite has no server whose connections could run out")
def test_two_webs_and_two_workers_take_no_more_connections_than_their_pools(tmp_path: Path) -> None:
    given = {"DATABASE_POOL_MAX": str(POOL), "MUTIRAO_WORKER_THREADS": str(THREADS)}
    with (
        back_end() as environ,
        running(tmp_path, **environ, **ENVIRON, **given) as site,
    ):
        site.make_key()
        with second_pair(site, threads=THREADS) as other, counted(environ) as found:
            ended = _keep_busy(site, other)
    assert ended == {"succeeded": SLOW + PARALLEL, "streams": STREAMS}
    # They were busy: more was wanted than one connection each.
    assert len(found) > 50
    assert PROCESSES < max(found) <= PROCESSES * POOL


def _keep_busy(site: Site, other: Site) -> dict[str, int]:
    """Model calls in every thread, nodes side by side, and people who watch: what came of it."""
    bodies = [{"agent": "slow", "input": {"messages": [{"role": "user", "content": "Good day"}]}}] * SLOW
    bodies += [{"agent": "side-by-side", "input": {"found": []}}] * PARALLEL
    ids = []
    for number, body in enumerate(bodies):
        status, task = (site, other)[number % 2].request("POST", TASKS, body)
        assert status == 202, task
        ids.append(task["id"])
    streams: list[str] = []

    def watch(where: Site, task_id: str) -> None:
        streams.append([kind for _, kind, _ in where.events(task_id)][-1])

    watchers = [
        threading.Thread(target=watch, args=((site, other)[number % 2], task_id))
        for number, task_id in enumerate(ids[-STREAMS:])
    ]
    for watcher in watchers:
        watcher.start()
    succeeded = sum(_ends_well(site, task_id) for task_id in ids)
    for watcher in watchers:
        watcher.join()
    return {"succeeded": succeeded, "streams": streams.count("done")}


def _ends_well(site: Site, task_id: str) -> bool:
    task = site.wait(lambda: (seen := site.request("GET", f"{TASKS}/{task_id}")[1])["finished_at"] and seen, within=120)
    return bool(task["status"] == "succeeded")
