"""Agents that ask agents: `delegate`, for nodes of graphs and for tools."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from typing import Any, Literal, overload

from agents.definitions.services import get_usable_agent
from agents.runtime.exceptions import ChildFailed, NoRun
from agents.runtime.pausing import CHILDREN, pause
from agents.runtime.run import Run
from agents.runtime.run import current_run as run_of_caller
from agents.tasks.models import Priority, Status, Task
from agents.tasks.services import known_task, submit
from agents.tools.context import RunContext
from agents.tools.context import current_run as tools_of_caller
from foundation.threads import release_connections

Asked = tuple[str, Any]
"""An agent's slug, and its input."""


def delegate(agent: str, input: Any, **options: Any) -> Any:  # noqa: A002 (the word of the API)
    """Has another agent do something as a task of its own, a child of this one, and gives its result (JSON).

    While the child works, the task waits without a worker; then its node runs again from its beginning and gets the
    result here, so what stands before this call in the node is done twice. Calls have to come in the same order then.
    `options` are those of `delegate_all`. Raises ChildFailed, and what submitting raises, such as UnknownAgent.
    """
    return delegate_all([(agent, input)], **options)[0]


@overload
def delegate_all(asked: Sequence[Asked], *, errors: Literal["raise"] = ..., **options: Any) -> list[Any]: ...
@overload
def delegate_all(asked: Sequence[Asked], *, errors: Literal["return"], **options: Any) -> list[Any | ChildFailed]: ...
def delegate_all(asked: Sequence[Asked], *, errors: Literal["raise", "return"] = "raise", **options: Any) -> list[Any]:
    """The same for several at the same time; gives their results in this order.

    With `errors="return"` a ChildFailed stands in the place of a result. `options` go to each child: `priority` (the
    parent's, when not said), `queue`, `limits`, `max_attempts`, `metadata`.
    """
    run, tools = run_of_caller(), tools_of_caller()
    if tools is None:
        raise NoRun
    # After a crash this place in the graph has the same name, hence the children the same keys.
    tools.make_durable()
    children = [_child(run, tools, agent, given, options) for agent, given in asked]
    open_ones = [child for child in children if not child.is_terminal]
    release_connections()
    if open_ones:
        pause(CHILDREN, {"children": [str(child.pk) for child in open_ones]})
    results = [_result_of(child) for child in children]
    if errors == "raise" and (failed := next((each for each in results if isinstance(each, ChildFailed)), None)):
        raise failed
    return results


def _child(run: Run, tools: RunContext, agent: str, given: Any, options: dict[str, Any]) -> Task:
    parent = Task.objects.select_related("owner", "api_key").get(pk=run.claim.task_id)
    options = {"priority": Priority(parent.priority), "cache": parent.cache} | options
    place = tools.key_of(f"delegate {agent}")
    key = f"child:{parent.pk}:{hashlib.sha256(place.encode()).hexdigest()[:32]}"
    # Before anything that may refuse a new task, such as a full queue.
    if known := known_task(owner=parent.owner, idempotency_key=key):
        return known
    return submit(
        owner=parent.owner,
        api_key=parent.api_key,
        agent=get_usable_agent(slug=agent, user=parent.owner),
        input=given,
        parent=parent,
        idempotency_key=key,
        request_id=parent.request_id,
        trace_id=parent.trace_id,
        **options,
    ).task


def _result_of(child: Task) -> Any:
    if child.status == Status.SUCCEEDED:
        return child.result
    return ChildFailed(child.pk, child.status, child.error_message)
