"""Runs one attempt at a task."""

from __future__ import annotations

from collections.abc import Generator
from contextlib import ExitStack, closing
from dataclasses import dataclass
from typing import Any

import structlog
from langchain_core.runnables import RunnableConfig
from langgraph.types import Interrupt

from agents.definitions.policy import Policy
from agents.definitions.services import agent_version_data
from agents.runtime.callbacks import RunCallbacks
from agents.runtime.control import RunControl
from agents.runtime.events import EventWriter
from agents.runtime.exceptions import ReviewWanted
from agents.runtime.graphs import Graph, graph_of
from agents.runtime.pausing import REVIEW, RunPaused, pause, pause_of, place
from agents.runtime.pieces import MODES, Part, events_of, interrupts_of
from agents.runtime.resuming import resumed_with, saved_state
from agents.runtime.run import Run, current
from agents.runtime.saver import DjangoSaver
from agents.runtime.tracing import tracers_of
from agents.runtime.translation import input_of, result_of
from agents.tasks.data import Claim, NewEvent, Usage
from agents.tasks.exceptions import LeaseLost
from agents.tasks.measuring import parent_of
from agents.tasks.services import append_events
from agents.tools.context import RunContext, running
from foundation.threads import release_connections
from telemetry.models import Span
from telemetry.spans import attempt_span_id, span, trace

logger = structlog.get_logger(__name__)


@dataclass(frozen=True, slots=True)
class RunResult:
    """What came of a run: the task's result (JSON), what it cost, and the events still to be written with
    it.
    """

    result: Any
    usage: Usage
    events: tuple[NewEvent, ...] = ()


def execute(claim: Claim, control: RunControl) -> RunResult | RunPaused:
    """Runs the claimed task to its end, or to where it has to wait, from the last checkpoint when an earlier attempt
    has left one. How a wait is written: `pausing.finish_paused`.

    Raises RunInterrupted when `control` says so, LeaseLost when the task has meanwhile gone to another
    attempt, and what the agent raises; `control.usage` is right in every case. After an error all events are
    written.
    """
    run = Run.of(claim, control, agent_version_data(claim.agent_version_id))
    with ExitStack() as stack:
        stack.callback(release_connections)
        stack.callback(run.settle)
        stack.enter_context(trace(claim.trace_id, task_id=claim.task_id, parent_id=parent_of(claim)))
        span_id = attempt_span_id(claim.task_id, claim.fence)
        stack.enter_context(span(Span.Kind.TASK, run.version.slug, span_id=span_id, attempt=claim.fence))
        stack.enter_context(current(run))
        return _execute(run)


def _execute(run: Run) -> RunResult | RunPaused:
    run.control.check()
    graph = graph_of(run.version.id)

    def on_failure(error: Exception) -> None:
        run.control.cancel("lease_lost" if isinstance(error, LeaseLost) else "failed")

    writer = EventWriter(append=lambda events: append_events(run.claim, events), on_failure=on_failure)
    try:
        state, interrupts = _run_graph(run, graph, writer)
        events = writer.finish()
    except ReviewWanted as wanted:
        return RunPaused(
            REVIEW, failure=wanted.failure, usage=run.calls.meter.total, events=(*writer.finish(), *wanted.events)
        )
    except BaseException as error:
        _write_rest(run, writer, error)
        raise
    if interrupts:
        return pause_of(interrupts, usage=run.calls.meter.total, events=events)
    return RunResult(result_of(graph, state), run.calls.meter.total, events)


def _run_graph(run: Run, graph: Graph, writer: EventWriter) -> tuple[Any, list[Interrupt]]:
    """The graph's last state, and what it has stopped for before its end."""
    state: Any = None
    interrupts: list[Interrupt] = []
    with closing(_parts(run, graph)) as parts:
        for part in parts:
            run.control.check()
            if part[:2] == ((), "values"):
                state = part[2]
            interrupts += interrupts_of(part)
            for kind, data in events_of(part):
                writer.add(kind, data)
    return state, interrupts


def _parts(run: Run, graph: Graph) -> Generator[Part, None, None]:
    """What the graph streams, beginning with the task's input or where an earlier attempt stopped."""
    claim = run.claim
    saver = DjangoSaver(fence=(claim.task_id, claim.fence))
    config: RunnableConfig = {
        "configurable": {"thread_id": str(claim.task_id)},
        "recursion_limit": claim.limits.steps,
        "callbacks": [RunCallbacks(run), *tracers_of(run)],
    }
    resumed = saved_state(claim, run.version, saver, config)
    if resumed is None:
        begin_with = input_of(claim, graph, run.version)
    else:
        # None is LangGraph's word for "go on". It counts steps from the next one, and one more to see the
        # end; a step of the task is counted once, whichever attempt made it.
        begin_with = resumed_with(claim, resumed)
        config["recursion_limit"] = max(1, claim.limits.steps - resumed.metadata.get("step", 0) - 2)
    release_connections()
    saved: Any = graph.copy(update={"checkpointer": saver})
    with running(_tools_of(run, saver)):
        yield from saved.stream(begin_with, config, stream_mode=MODES, subgraphs=True, durability="sync")


def _tools_of(run: Run, saver: DjangoSaver) -> RunContext:
    """What the run's tools have to know of it."""
    policy = Policy.of(run.version.policy)
    return RunContext(
        task_id=run.claim.task_id,
        fence=run.claim.fence,
        place=place,
        make_durable=saver.flush,
        pause=pause,
        release=release_connections,
        approve=policy.approve,
        approval_seconds=policy.approval_seconds,
    )


def _write_rest(run: Run, writer: EventWriter, error: BaseException) -> None:
    """Writes what led to the error. Raises LeaseLost, or what the writer met, in place of what that has
    caused.
    """
    if isinstance(error, LeaseLost):
        run.control.cancel("lease_lost")
    try:
        events = writer.finish()
        if events and not isinstance(error, LeaseLost):
            append_events(run.claim, events)
    except Exception as failure:
        if failure is writer.failure or isinstance(failure, LeaseLost):
            raise failure from error
        logger.exception("events_not_written", task_id=str(run.claim.task_id))
