"""The supervisor: restarts what ends, and leaves nothing."""

from __future__ import annotations

import io
import os
import signal
import sys
import time
from collections.abc import Callable

import psutil
import pytest

from mutirao.supervisor import Child, Supervisor

pytestmark = pytest.mark.embedded

DEADLINE_SECONDS = 20


def _run_until(supervisor: Supervisor, condition: Callable[[], bool]) -> None:
    deadline = time.monotonic() + DEADLINE_SECONDS

    def on_tick() -> None:
        if condition() or time.monotonic() > deadline:
            supervisor.stop()

    supervisor.run(on_tick)
    assert condition()


def _sleeper(name: str, *, stubborn: bool = False) -> Child:
    ignore = "signal.signal(signal.SIGTERM, signal.SIG_IGN);" if stubborn else ""
    code = f"import signal, subprocess, sys;{ignore}print('here', flush=True);subprocess.Popen(['sleep', '60']).wait()"
    return Child(name, [sys.executable, "-c", code], stop_after=0.5)


def _family(child: Child) -> list[psutil.Process]:
    assert child.process is not None
    leader = psutil.Process(child.process.pid)
    return [leader, *leader.children()]


def test_output_is_prefixed_with_the_name() -> None:
    output = io.StringIO()
    supervisor = Supervisor(output=output)
    try:
        supervisor.add(_sleeper("web"))
        _run_until(supervisor, lambda: "web    | here\n" in output.getvalue())
    finally:
        supervisor.stop_all()


def test_a_killed_child_is_started_again() -> None:
    output = io.StringIO()
    supervisor = Supervisor(output=output)
    child = _sleeper("worker")
    try:
        supervisor.add(child)
        assert child.process is not None
        os.kill(child.process.pid, signal.SIGKILL)
        _run_until(supervisor, lambda: child.starts == 2 and child.is_running)
    finally:
        supervisor.stop_all()
    assert "worker ended with -9" in output.getvalue()


def test_the_pause_before_a_restart_grows_and_has_an_end() -> None:
    child = Child("web", ["false"])
    child.started_at = time.monotonic()
    assert [child.postpone() for _ in range(7)] == [0.5, 1.0, 2.0, 4.0, 8.0, 10.0, 10.0]


def test_nothing_is_left_of_children_that_do_not_want_to_go() -> None:
    output = io.StringIO()
    supervisor = Supervisor(output=output)
    children = [_sleeper("polite"), _sleeper("stubborn", stubborn=True)]
    for child in children:
        supervisor.add(child)
    try:
        _run_until(supervisor, lambda: output.getvalue().count("here") == 2)
        _run_until(supervisor, lambda: all(len(_family(child)) == 2 for child in children))
        family = [process for child in children for process in _family(child)]
        assert len(family) == 4
    finally:
        supervisor.stop_all()
    _, alive = psutil.wait_procs(family, timeout=5)
    assert alive == []
