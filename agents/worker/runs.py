"""Claims tasks and runs them, one after the other, until there is nothing to do. Imports LangChain."""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from functools import partial

import structlog
from django.db import OperationalError

from agents.runtime.control import RunControl, RunInterrupted
from agents.runtime.execution import execute
from agents.runtime.failures import failure_of
from agents.runtime.pausing import RunPaused, finish_paused
from agents.tasks import services as tasks
from agents.tasks import telling
from agents.tasks.data import Claim
from agents.tasks.exceptions import LeaseLost
from agents.tasks.models import Status
from agents.worker.keeper import Keeper
from agents.worker.stories import story_of
from foundation.threads import release_connections
from telemetry.errors import report_error

logger = structlog.get_logger(__name__)

End = Callable[[], str]
"""Ends an attempt; gives the status in which that leaves the task."""

# One Celery execution runs this many tasks at most, so that its result row is written and its thread is shared.
MOST_AT_ONCE = 20
# A result that is known is worth some patience with the database.
PAUSES_BEFORE_ENDING_AGAIN = (0.2, 1.0, 3.0)


def run_available(
    *, keeper: Keeper, queues: Sequence[str], worker: str, celery_id: str, suspects: bool = False
) -> list[str]:
    """Runs what is claimable; the ids of the tasks that were begun. Rings again when it stops before the end."""
    begun: list[str] = []
    while not keeper.is_stopping:
        claim = tasks.claim(queues=queues, worker=worker, celery_id=celery_id, suspects=suspects)
        if claim is None:
            break
        begun.append(str(claim.task_id))
        run(claim, keeper)
        if len(begun) == MOST_AT_ONCE:
            telling.tell(claim.queue)
            break
    release_connections()
    return begun


def run(claim: Claim, keeper: Keeper) -> None:
    """One attempt, from claim to end. Never raises for what the agent does."""
    with story_of(claim) as story:
        try:
            with keeper.keeping(claim) as control:
                end = _attempt(claim, control)
                story.outcome = _end_patiently(end)
        except LeaseLost:
            story.lost()


def _attempt(claim: Claim, control: RunControl) -> End:
    """Runs the agent; gives how the attempt is to be ended. Raises LeaseLost."""
    try:
        done = execute(claim, control)
    except RunInterrupted as stopped:
        return _interrupted(claim, control, stopped)
    except LeaseLost:
        raise
    except Exception as error:
        return _failed(claim, control, error)
    if isinstance(done, RunPaused):
        return partial(finish_paused, claim, done)
    return _to(
        Status.SUCCEEDED,
        lambda: tasks.succeed(claim=claim, result=done.result, usage=done.usage, events=done.events),
    )


def _to(status: Status, end: Callable[[], object]) -> End:
    """For an end that leaves the task in one status only."""

    def ended() -> str:
        end()
        return status.value

    return ended


def _failed(claim: Claim, control: RunControl, error: Exception) -> End:
    failure = failure_of(error)
    logger.warning("attempt_failed", error_type=failure.error_type, error=failure.message)

    def end() -> str:
        status = tasks.fail(claim=claim, failure=failure, usage=control.usage)
        # Once a task, not once an attempt.
        if status == Status.FAILED:
            report_error(error, fence=claim.fence)
        return status

    return end


def _interrupted(claim: Claim, control: RunControl, stopped: RunInterrupted) -> End:
    match stopped.reason:
        case "cancelled":
            return _to(Status.CANCELLED, lambda: tasks.finish_cancelled(claim=claim, usage=control.usage))
        case "deadline":
            return lambda: tasks.time_out(claim=claim, usage=control.usage)
        case "stopping":
            return _to(Status.QUEUED, lambda: tasks.hand_back(claim=claim, usage=control.usage))
    raise LeaseLost


def _end_patiently(end: End) -> str:
    """The status that the attempt has left the task in."""
    for pause in PAUSES_BEFORE_ENDING_AGAIN:
        try:
            return end()
        except OperationalError as error:
            logger.warning("end_not_written", error=str(error), trying_again_in=pause)
            release_connections()
            time.sleep(pause)
    return end()
