"""PostgreSQL that comes and goes, and workers whose clocks are wrong: on a server that the test has started itself."""

from __future__ import annotations

import random
import threading
import time
from collections.abc import Iterator

import pytest

from tests.chaos.harness import FULL_SIZE, LEASE_SECONDS, Fleet, fleet, say, sized, valkey
from tests.chaos.postgresql import PostgreSQL, postgresql
from tests.chaos.posts import Posts
from tests.chaos.test_workers import body
from tests.environment import GIVEN

pytestmark = [
    pytest.mark.timeout(900 if FULL_SIZE else 240),
    pytest.mark.skipif("DATABASE_URL" not in GIVEN, reason="about PostgreSQL; runs where the suite is told to use it"),
]

PER_SECOND = 40 if FULL_SIZE else 60
OUTAGES = 3
HOUR = 3600


@pytest.fixture(scope="module")
def own(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[Fleet, PostgreSQL]]:
    home = tmp_path_factory.mktemp("database")
    with (
        postgresql() as server,
        valkey(home / "valkey") as redis,
        fleet(home, REDIS_URL=redis.url, DATABASE_URL=server.url) as found,
    ):
        yield found, server


@pytest.fixture(autouse=True)
def _alone(own: tuple[Fleet, PostgreSQL]) -> Iterator[None]:
    yield
    own[0].dismiss_workers()


def test_a_database_that_comes_and_goes_loses_and_doubles_nothing(own: tuple[Fleet, PostgreSQL]) -> None:
    (fleet, server), chance = own, random.Random(5)
    count = sized(5_000)
    fleet.start_workers(2)
    fleet.wait_for_workers()
    # A caller tries again, with the same key, what was refused.
    posts = Posts(fleet, patience=60)
    crowd = threading.Thread(
        target=posts.send_all, args=([body()] * count,), kwargs={"parallel": 4, "per_second": PER_SECOND}
    )
    crowd.start()
    outages = 0
    # A busy machine takes longer, and shall not have more to bear for it.
    while crowd.is_alive() and (FULL_SIZE or outages < OUTAGES):
        time.sleep(chance.uniform(5, 20) if FULL_SIZE else chance.uniform(1.5, 3))
        if crowd.is_alive():
            outages += 1
            server.stop(chance.choice(["fast", "immediate"]))
            time.sleep(chance.uniform(0, 5) if FULL_SIZE else chance.uniform(0, 2))
            server.start()
    crowd.join()
    fleet.wait_until_done(posts.tasks, within=120)
    audit = fleet.audit(posts.tasks)
    audit.assert_done_once(("one", "two"))
    assert len(audit.tasks) == len(posts.all) == count
    assert outages >= 2
    _assert_clean(posts)
    refused = sum(len(post.problems) for post in posts.all)
    say(tasks=count, outages=outages, refused_with_503=refused, attempts=dict(audit.outcomes()))


def _assert_clean(posts: Posts) -> None:
    """Whoever was refused was told so properly."""
    answers = [answer for post in posts.all for answer in post.answers]
    assert set(answers) <= {202, 503}
    problems = [problem for post in posts.all for problem in post.problems]
    assert len(problems) == answers.count(503)
    for content_type, problem in problems:
        assert content_type == "application/problem+json"
        assert (problem["status"], problem["type"]) == (503, "urn:mutirao:unavailable")
        assert problem["request_id"]


def test_connections_that_died_while_idle_refuse_nobody(own: tuple[Fleet, PostgreSQL]) -> None:
    fleet, server = own
    fleet.submit(16, body(), parallel=8)
    server.stop("immediate")
    server.start()
    # Every one accepted at once, over connections that the pool had before.
    tasks = fleet.submit(16, body(), parallel=8)
    fleet.start_workers(1)
    fleet.wait_until_done(tasks, within=60)
    fleet.audit(tasks).assert_done_once(("one", "two"))


def test_workers_whose_clocks_are_an_hour_wrong_lose_double_and_reap_nothing(own: tuple[Fleet, PostgreSQL]) -> None:
    fleet, _server = own
    faults = {f"clock={HOUR}", f"clock=-{HOUR}", ""}
    for fault in faults:
        fleet.start_workers(1, faults=fault)
    fleet.wait_for_workers()
    _assert_wrong(fleet)
    # Longer than a lease, so that they live by their heartbeats.
    long = fleet.submit(6, body(pause=LEASE_SECONDS * 0.75))
    short = fleet.submit(sized(300, tenth=60), body(pause=0.05))
    fleet.wait_until_done([*long, *short], within=120)
    audit = fleet.audit([*long, *short])
    audit.assert_done_once(("one", "two"))
    assert audit.outcomes() == {"succeeded": len(long) + len(short)}
    assert len({effect.pid for effects in audit.effects.values() for effect in effects}) == len(faults)
    say(tasks=len(audit.tasks), attempts=dict(audit.outcomes()))


def _assert_wrong(fleet: Fleet) -> None:
    """Their signs of life say what they believe."""
    pids = ", ".join(str(worker.pid) for worker in fleet.workers)
    hours = "SELECT round(extract(epoch FROM polled_at - now()) / 3600) FROM agents_worker_workerprocess WHERE pid IN "
    assert sorted(int(row[0]) for row in fleet.rows(f"{hours} ({pids})")) == [-1, 0, 1]
