"""Faults that a process of a test is started with: `CHAOS_FAULTS=name,name=value`.

They replace functions in memory, in the processes of tests only: the platform itself has no such switch.
"""

from __future__ import annotations

import os
import random
import signal
import sys
import threading
import time
import uuid
from collections.abc import Callable, Sequence
from datetime import UTC, datetime, timedelta, tzinfo
from pathlib import Path
from typing import Any

VARIABLE = "CHAOS_FAULTS"
# The file that says at which point the web process shall die next; whoever takes it away dies.
DIE = "die"
LONGEST_RANDOM_SECONDS = 0.006

Fault = Callable[[str], None]


def install(chosen: str) -> None:
    """Puts the faults in place, each with the text after its `=`."""
    for each in filter(None, chosen.split(",")):
        name, _, value = each.partition("=")
        FAULTS[name](value)


def without_fence(_value: str) -> None:
    """A worker that writes whatever it has computed: no save asks for the fence, no heartbeat hears that a lease is
    lost, and the end of an attempt is written over what others have made of the task meanwhile.
    """
    from agents.runtime import group_commit  # noqa: F401
    from agents.runtime import storage as checkpoints
    from agents.tasks import attempts, storage
    from agents.tasks.data import Claim
    from agents.tasks.models import Task

    end_attempt, append_events, store = storage.end_attempt, storage.append_events, checkpoints.store

    def end_anyway(task_id: uuid.UUID, fence: int, end: storage.End, rows: Sequence[storage.NewRow]) -> Any:
        # The sweeper's ends are left alone: they ask for the lease.
        if storage.lease_is_over() not in end.only_if:
            lease = datetime.now(UTC) + timedelta(seconds=60)
            Task.objects.filter(pk=task_id).update(
                fence=fence, status="running", finished_at=None, lease_expires_at=lease, run_deadline_at=lease
            )
        return end_attempt(task_id, fence, end, rows)

    def renew_anyway(claims: Sequence[Claim]) -> attempts.Renewed:
        return attempts.Renewed(frozenset(), frozenset())

    _replace(end_attempt, end_anyway)
    _replace(append_events, lambda *arguments: append_events(*arguments) or 0)
    _replace(store, lambda rows, *, fence: store(rows, fence=None))
    _replace(attempts.renew, renew_anyway)


def without_sweeper(_value: str) -> None:
    """A worker that heals nothing."""
    from agents.tasks import services
    from agents.tasks.data import Swept

    _replace(services.sweep, Swept)


def head_starts(seconds: str) -> None:
    """A web process in which priorities are worth seconds, not minutes: ageing can be waited for."""
    from agents.tasks import services

    for priority, start in services.HEAD_STARTS.items():
        services.HEAD_STARTS[priority] = float(seconds) * (start / timedelta(minutes=10)) * timedelta(seconds=1)


def clock(seconds: str) -> None:
    """A process whose clock is wrong by so many seconds, in all Python code that is loaded."""
    shift = float(seconds)
    right_time = time.time

    def wrong_time() -> float:
        return right_time() + shift

    class _AnyDatetime(type):
        def __instancecheck__(cls, value: object) -> bool:
            return isinstance(value, datetime)

    class WrongDatetime(datetime, metaclass=_AnyDatetime):
        @classmethod
        def now(cls, tz: tzinfo | None = None) -> Any:
            return datetime.now(tz) + timedelta(seconds=shift)

        @classmethod
        def utcnow(cls) -> Any:
            return datetime.now(UTC).replace(tzinfo=None) + timedelta(seconds=shift)

    _replace(right_time, wrong_time)
    _replace(datetime, WrongDatetime)


def _replace(old: Any, new: Any) -> None:
    """In every module of REACHED that knows it, under whatever name."""
    modules = [module for name, module in [*sys.modules.items()] if name.partition(".")[0] in REACHED]
    names = [(module, name) for module in modules for name, value in [*vars(module).items()] if value is old]
    assert names, f"nobody knows {old}: it has moved"
    for module, name in names:
        setattr(module, name, new)


# Ours, and what counts time for us.
REACHED = {
    "agents", "accounts", "telemetry", "foundation", "mutirao", "django", "celery", "kombu", "billiard", "amqp",
    "redis", "langgraph", "datetime", "time",
}  # fmt: skip


def dies_in_tool(_value: str) -> None:
    """A worker that dies in the middle of the first attempt's order, when only the other system knows of it."""
    from tests.parts.chaos import effects

    note = effects.note

    def note_and_die(step: str) -> int:
        fence = note(step)
        if fence == 1 and step.startswith(effects.ORDER):
            os.kill(os.getpid(), signal.SIGKILL)
        return fence

    effects.note = note_and_die


def dies_after_ledger(_value: str) -> None:
    """A worker that dies when the first attempt's call is in the ledger and not yet in the graph's state."""
    from agents.tools import ledger
    from agents.tools.context import RunContext

    succeed = ledger.succeed

    def note_and_die(run: RunContext, call_id: uuid.UUID, result: str | None) -> None:
        succeed(run, call_id, result)
        if run.fence == 1:
            os.kill(os.getpid(), signal.SIGKILL)

    _replace(succeed, note_and_die)


def without_ledger(_value: str) -> None:
    """A worker that keeps no account of tool calls."""
    from agents.tools.traits import Traits

    Traits.is_recorded = property(lambda _self: False)  # type: ignore[assignment, method-assign]


def dying(_value: str) -> None:
    """A web process that dies at the point that the file names, once."""
    from agents.tasks import services, storage
    from foundation.asgi import Handler

    insert_task, announce, send_response = storage.insert_task, services.announce, Handler.send_response

    def insert(*arguments: Any) -> bool:
        _die_at("before-commit")
        _die_soon("while-committing")
        return insert_task(*arguments)

    def tell(task: Any) -> None:
        _die_at("after-commit")
        announce(task)
        _die_at("after-telling")

    async def answer(self: Handler, response: Any, send: Any) -> None:
        await send_response(self, response, send)
        if response.status_code == 202:
            _die_at("after-answer")

    _replace(insert_task, insert)
    _replace(announce, tell)
    Handler.send_response = answer  # type: ignore[method-assign, assignment]


POINTS = ("before-commit", "while-committing", "after-commit", "after-telling", "after-answer")


def _takes(point: str) -> bool:
    file = Path(os.environ["MUTIRAO_HOME"]) / f"{DIE}-{point}"
    try:
        file.unlink()
    except FileNotFoundError:
        return False
    return True


def _die_at(point: str) -> None:
    if _takes(point):
        os._exit(137)


def _die_soon(point: str) -> None:
    """At a random moment of the statement that follows, or shortly after it."""
    if _takes(point):
        threading.Timer(random.uniform(0, LONGEST_RANDOM_SECONDS), os._exit, (137,)).start()


FAULTS: dict[str, Fault] = {
    "without-fence": without_fence,
    "without-sweeper": without_sweeper,
    "head-starts": head_starts,
    "clock": clock,
    "dies-in-tool": dies_in_tool,
    "dies-after-ledger": dies_after_ledger,
    "without-ledger": without_ledger,
    "dying": dying,
}
