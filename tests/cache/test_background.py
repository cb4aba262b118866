"""Work beside the calls: bounded, its errors are nobody's, and nobody waits for it at the end."""

from __future__ import annotations

import subprocess
import sys
import threading

from agents.cache import background as module
from agents.cache.background import Background
from tests.site import ROOT

WITHIN = 30


def test_what_waits_is_bounded_and_the_rest_is_refused() -> None:
    work, gate, over = Background(), threading.Event(), threading.Event()
    begun, done = threading.Semaphore(0), list[int]()

    def hold() -> None:
        begun.release()
        assert gate.wait(WITHIN)

    for _ in range(module.THREADS):
        assert work.do(hold)
    for _ in range(module.THREADS):
        assert begun.acquire(timeout=WITHIN)
    taken = [work.do(done.append, number) for number in range(module.MOST_WAITING + 10)]
    assert taken == [True] * module.MOST_WAITING + [False] * 10
    gate.set()
    while not work.do(over.set):
        assert gate.is_set()
    assert over.wait(WITHIN)
    assert sorted(done)[: module.MOST_WAITING - 1] == [*range(module.MOST_WAITING - 1)]


def test_an_error_does_not_stop_what_comes_after() -> None:
    work, gate = Background(), threading.Event()

    def broken() -> None:
        raise ValueError("broken")

    for _ in range(module.THREADS * 2):
        assert work.do(broken)
    assert work.do(gate.set)
    assert gate.wait(WITHIN)


def test_a_process_that_ends_does_not_wait() -> None:
    text = (
        "import threading; from agents.cache.background import background; begun = threading.Event(); "
        "[background.do(lambda: (begun.set(), threading.Event().wait())) for _ in range(10)]; begun.wait(); "
        "print('over')"
    )
    ended = subprocess.run(
        [sys.executable, "-c", text], cwd=ROOT, env={"PYTHONPATH": "platform"}, capture_output=True, text=True,
        timeout=WITHIN, check=True,
    )  # fmt: skip
    assert ended.stdout == "over\n"
