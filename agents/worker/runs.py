"""Claims tasks and runs them, one after the other, until there is nothing to do. Imports LangChain."""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence

import structlog
from django.db import OperationalError

from agents.runtime.connections import release_connections
from agents.runtime.control import RunControl, RunInterrupted
from agents.runtime.execution import execute
from agents.runtime.failures import failure_of
from agents.tasks import services as tasks
from agents.tasks import telling
from agents.tasks.data import Claim
from agents.tasks.exceptions import LeaseLost
from agents.worker.keeper import Keeper

logger = structlog.get_logger(__name__)

# One Celery execution runs this many tasks at most, so that its result row is written and its thread is shared.
MOST_AT_ONCE = 20
# A result that is known is worth some patience with the database.
PAUSES_BEFORE_ENDING_AGAIN = (0.2, 1.0, 3.0)


def run_available(*, keeper: Keeper, queues: Sequence[str], worker: str, celery_id: str) -> list[str]:
    """Runs what is claimable; the ids of the tasks that were begun. Rings again when it stops before the end."""
    begun: list[str] = []
    while not keeper.is_stopping:
        claim = tasks.claim(queues=queues, worker=worker, celery_id=celery_id)
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
    structlog.contextvars.bind_contextvars(task_id=str(claim.task_id), request_id=claim.request_id)
    try:
        with keeper.keeping(claim) as control:
            end = _attempt(claim, control)
            _end_patiently(end)
    except LeaseLost:
        logger.warning("lease_lost", fence=claim.fence)
    finally:
        structlog.contextvars.unbind_contextvars("task_id", "request_id")


def _attempt(claim: Claim, control: RunControl) -> Callable[[], object]:
    """Runs the agent; gives how the attempt is to be ended. Raises LeaseLost."""
    try:
        done = execute(claim, control)
    except RunInterrupted as stopped:
        return _interrupted(claim, control, stopped)
    except LeaseLost:
        raise
    except Exception as error:
        failure = failure_of(error)
        logger.warning("attempt_failed", error_type=failure.error_type, error=failure.message)
        return lambda: tasks.fail(claim=claim, failure=failure, usage=control.usage)
    return lambda: tasks.succeed(claim=claim, result=done.result, usage=done.usage, events=done.events)


def _interrupted(claim: Claim, control: RunControl, stopped: RunInterrupted) -> Callable[[], object]:
    match stopped.reason:
        case "cancelled":
            return lambda: tasks.finish_cancelled(claim=claim, usage=control.usage)
        case "deadline":
            return lambda: tasks.time_out(claim=claim, usage=control.usage)
        case "stopping":
            return lambda: tasks.hand_back(claim=claim, usage=control.usage)
    raise LeaseLost


def _end_patiently(end: Callable[[], object]) -> None:
    for pause in PAUSES_BEFORE_ENDING_AGAIN:
        try:
            end()
        except OperationalError as error:
            logger.warning("end_not_written", error=str(error), trying_again_in=pause)
            release_connections()
            time.sleep(pause)
        else:
            return
    end()
