"""A web process that dies around the moment of acceptance, and callers who ask again."""

from __future__ import annotations

import threading
import uuid
from collections import Counter
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import pytest

from tests.chaos.harness import FULL_SIZE, Fleet, say, sized
from tests.chaos.posts import TASKS, Posts
from tests.chaos.test_workers import body
from tests.parts.chaos.faults import POINTS

pytestmark = pytest.mark.timeout(900 if FULL_SIZE else 240)

CALLERS = 64


@pytest.mark.parametrize(
    "point", [point if point == "while-committing" else pytest.param(point, marks=pytest.mark.once) for point in POINTS]
)
def test_a_web_process_that_dies_at_this_point_breaks_no_promise(given_fleet: Fleet, point: str) -> None:
    fleet, times = given_fleet, sized(50)
    assert fleet.web is not None
    fleet.web.kill()
    fleet.start_web("dying")
    fleet.start_workers(1)
    posts = Posts(fleet, patience=30)
    # Others submit meanwhile, and meet the dead process too.
    others = Posts(fleet, patience=30)
    crowd = threading.Thread(
        target=others.send_all, args=([body()] * (times * 4),), kwargs={"parallel": 2, "per_second": 8}
    )
    crowd.start()
    for _ in range(times):
        (fleet.home / f"die-{point}").touch()
        with ThreadPoolExecutor(1) as caller:
            sent = caller.submit(posts.send, body())
            assert fleet.web.wait() == 137
            fleet.start_web("dying")
            posts.all.append(sent.result())
        posts.close()
        _ask_again(fleet, posts.all[-1].key, posts.all[-1].task)
    crowd.join()
    everything = [*posts.all, *others.all]
    assert [post for post in everything if not post.task] == []
    assert {answer for post in everything for answer in post.answers} <= {0, 202}
    known = Counter(row[0] for row in fleet.rows("SELECT idempotency_key FROM agents_tasks_task"))
    assert {known[post.key] for post in everything} == {1}
    tasks = [post.task for post in everything]
    fleet.wait_until_done(tasks, within=60)
    audit = fleet.audit(tasks)
    audit.assert_done_once(("one", "two"))
    assert len(audit.tasks) == times * 5
    say(kills=times, requests=len(everything), broken_connections=sum(post.answers.count(0) for post in everything))


def _ask_again(fleet: Fleet, key: str, task: str) -> None:
    """The same key gives the same task, to whomever it was promised."""
    status, again = fleet.request("POST", TASKS, body(), Idempotency_Key=key)
    assert (status, again["id"]) == (202, task)


def test_simultaneous_requests_with_one_key_make_one_task(given_fleet: Fleet) -> None:
    fleet, key = given_fleet, uuid.uuid4().hex
    together = threading.Barrier(CALLERS)

    def call(_number: int) -> tuple[int, Any]:
        together.wait(30)
        return fleet.request("POST", TASKS, body(), Idempotency_Key=key)

    with ThreadPoolExecutor(CALLERS) as pool:
        answers = [*pool.map(call, range(CALLERS))]
    assert Counter(status for status, _ in answers) == {202: CALLERS}
    assert len({task["id"] for _, task in answers}) == 1
    made = f"SELECT count(*) FROM agents_tasks_task WHERE idempotency_key = '{key}'"  # noqa: S608
    assert fleet.rows(made) == [(1,)]
    status, problem = fleet.request("POST", TASKS, body(pause=0.1), Idempotency_Key=key)
    assert (status, problem["type"]) == (409, "urn:mutirao:idempotency-conflict")
    assert fleet.rows(made) == [(1,)]
