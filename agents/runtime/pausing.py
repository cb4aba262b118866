"""How a run ends in the middle, in an orderly way: for a person, or for the tasks that it has submitted.

Whatever wants that (a tool that needs approval, a node that delegates) raises LangGraph's own interrupt, so that nodes
beside it still finish and are saved. When the attempt after the next one comes, the node runs again and finds in rows
what has become of its wish; it needs no value to be resumed with. Graphs that call `interrupt` themselves do.
"""

from __future__ import annotations

import uuid
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any, Final, NoReturn

from django.utils.translation import gettext as _
from langgraph.config import get_config
from langgraph.errors import GraphInterrupt
from langgraph.types import Interrupt

from agents.definitions.policy import Policy
from agents.definitions.services import agent_version_data
from agents.runtime.json_values import storable
from agents.tasks import services as tasks
from agents.tasks.data import NOTHING, Claim, Failure, NewEvent, Usage
from agents.tasks.models import WaitingFor
from agents.tools.approvals import wait_for_approvals
from agents.tools.context import Place

REVIEW: Final = "review"
APPROVAL: Final = "approval"
INPUT: Final = "input"
CHILDREN: Final = "children"
# Of several reasons in one step the first of these: the others are found again by the attempt that follows.
ORDER: Final = (REVIEW, APPROVAL, INPUT, CHILDREN)

_MARK: Final = "mutirao_pause"
MOST_SHOWN: Final = 20_000


@dataclass(frozen=True, slots=True)
class RunPaused:
    """A run that has not come to its end: why, with data for the event that says so, and what it has cost so far."""

    kind: str
    data: dict[str, Any] = field(default_factory=dict)
    failure: Failure | None = None
    children: tuple[uuid.UUID, ...] = ()
    usage: Usage = NOTHING
    events: tuple[NewEvent, ...] = ()


def pause(kind: str, data: dict[str, Any]) -> NoReturn:
    """Ends the node that calls it, and the attempt when the nodes beside it are done."""
    raise GraphInterrupt((Interrupt(value={_MARK: kind, **storable(data)}, id=uuid.uuid4().hex),))


def place() -> Place:
    """Where in its graph the caller is: LangGraph's name of this run of its node, and how manieth try that is."""
    configurable = get_config().get("configurable", {})
    info = getattr(configurable.get("__pregel_runtime"), "execution_info", None)
    return str(configurable.get("checkpoint_ns") or ""), int(getattr(info, "node_attempt", 1) or 1)


def pause_of(interrupts: Iterable[Interrupt], *, usage: Usage, events: tuple[NewEvent, ...]) -> RunPaused:
    """The end of a run whose graph has stopped at these."""
    found: dict[str, list[Interrupt]] = {kind: [] for kind in ORDER}
    for each in {interrupt.id: interrupt for interrupt in interrupts}.values():
        found[_kind_of(each)].append(each)
    kind = next(kind for kind in ORDER if found[kind])
    values = [each.value for each in found[kind]]
    match kind:
        case "review":
            return RunPaused(kind, failure=_unfinished(values[0]), usage=usage, events=events)
        case "children":
            children = tuple(uuid.UUID(child) for value in values for child in value["children"])
            said = {"children": [str(child) for child in children]}
            return RunPaused(kind, said, children=children, usage=usage, events=events)
        case "approval":
            return RunPaused(kind, {"tools": sorted({value["tool"] for value in values})}, usage=usage, events=events)
    return RunPaused(kind, {"questions": [_question(each) for each in found[kind]]}, usage=usage, events=events)


def finish_paused(claim: Claim, paused: RunPaused) -> str:
    """Ends the attempt as its pause wants it; gives the task's status. Raises LeaseLost."""
    ended: dict[str, Any] = {"claim": claim, "usage": paused.usage, "events": paused.events}
    if paused.failure is not None:
        return tasks.review(failure=paused.failure, **ended)
    if paused.kind == APPROVAL:
        return wait_for_approvals(data=paused.data, **ended)
    if paused.kind == CHILDREN:
        return tasks.wait(waiting_for=WaitingFor.CHILDREN, children=paused.children, data=paused.data, **ended)
    seconds = Policy.of(agent_version_data(claim.agent_version_id).policy).approval_seconds
    return tasks.wait(waiting_for=WaitingFor.INPUT, seconds=seconds, data=paused.data, **ended)


def _kind_of(interrupt: Interrupt) -> str:
    value = interrupt.value
    kind = value.get(_MARK) if isinstance(value, Mapping) else None
    return kind if kind in (REVIEW, APPROVAL, CHILDREN) else INPUT


def _question(interrupt: Interrupt) -> dict[str, Any]:
    value = storable(interrupt.value)
    if len(str(value)) > MOST_SHOWN:
        value = str(value)[:MOST_SHOWN]
    schema = interrupt.response_schema if isinstance(interrupt.response_schema, dict) else None
    return {"id": interrupt.id, "value": value} | ({"schema": storable(schema)} if schema else {})


def _unfinished(said: Mapping[str, Any]) -> Failure:
    arguments = ", ".join(f"{name}={value!r}" for name, value in said["arguments"].items())
    sentence = _("The call %(tool)s(%(arguments)s) was begun and did not finish; whether it was done is not known.")
    shown = sentence % {"tool": said["tool"], "arguments": arguments[:1_000]}
    return Failure("ToolCallUnfinished", shown)
