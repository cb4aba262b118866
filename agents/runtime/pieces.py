"""From what a graph streams to a task's events."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any, Final

from langchain_core.messages import AIMessage, BaseMessage, ToolMessage
from langgraph.types import Interrupt, StreamMode

from agents.gateway.restarts import restart_of
from agents.tasks.models import TaskEvent

MODES: Final[list[StreamMode]] = ["messages", "updates", "custom", "values"]
Part = tuple[tuple[str, ...], str, Any]
"""Path of the nested graph (empty for the graph itself), one of MODES, and what that mode streams."""

Event = tuple[str, dict[str, Any]]
"""Kind and data."""

LONGEST_TEXT = 20_000
"""Characters of a tool's arguments or answer that an event shows; the checkpoint has the whole."""

_TOOLS = "tools"
_INTERRUPT = "__interrupt__"


def interrupts_of(part: Part) -> tuple[Interrupt, ...]:
    """What the graph itself has stopped for, with this part."""
    path, mode, payload = part
    return tuple(payload.get(_INTERRUPT, ())) if mode == "updates" and not path else ()


def events_of(part: Part) -> Iterator[Event]:
    """The events that one streamed part is.

    step {"node", "within"?}, message {"text", "restart"?}, tool_call {"id", "name", "args"},
    tool_result {"id", "name", "content", "error"?, "truncated"?}, custom {"data"}; `within` is the path of
    nested graphs. `restart`: the pieces of this message so far do not count, it begins anew.
    """
    path, mode, payload = part
    if mode == "messages":
        message, metadata = payload
        yield from _message_events(path, message, metadata)
    elif mode == "updates":
        yield from _update_events(path, payload)
    elif mode == "custom":
        yield TaskEvent.Kind.CUSTOM, {"data": payload}


def _message_events(path: tuple[str, ...], message: BaseMessage, metadata: dict[str, Any]) -> Iterator[Event]:
    """Pieces of what the model says; not what a tool says, nor a model that a tool asked."""
    nodes = [*_names(path), metadata.get("langgraph_node")]
    if not isinstance(message, AIMessage) or _TOOLS in nodes:
        return
    if restart_of(message) is not None:
        yield TaskEvent.Kind.MESSAGE, {"text": "", "restart": True}
    elif text := str(message.text):
        yield TaskEvent.Kind.MESSAGE, {"text": text}


def _update_events(path: tuple[str, ...], update: dict[str, Any]) -> Iterator[Event]:
    for node, values in update.items():
        if node.startswith("__"):
            continue
        step = {"node": node}
        yield TaskEvent.Kind.STEP, step | ({"within": "/".join(_names(path))} if path else {})
        for message in _messages_in(values):
            yield from _tool_events(message)


def _messages_in(values: Any) -> Iterator[BaseMessage]:
    for written in values if isinstance(values, list) else [values]:
        found = written.get("messages") if isinstance(written, dict) else None
        for message in found if isinstance(found, list) else [found]:
            if isinstance(message, BaseMessage):
                yield message


def _tool_events(message: BaseMessage) -> Iterator[Event]:
    if isinstance(message, AIMessage):
        for call in message.tool_calls:
            yield (
                TaskEvent.Kind.TOOL_CALL,
                {"id": call["id"], "name": call["name"], "args": _bounded(call["args"])},
            )
    elif isinstance(message, ToolMessage):
        text = str(message.text)
        result: dict[str, Any] = {
            "id": message.tool_call_id,
            "name": message.name,
            "content": text[:LONGEST_TEXT],
        }
        if message.status == "error":
            result["error"] = True
        if len(text) > LONGEST_TEXT:
            result["truncated"] = True
        yield TaskEvent.Kind.TOOL_RESULT, result


def _bounded(arguments: Any) -> Any:
    shown = str(arguments)
    return arguments if len(shown) <= LONGEST_TEXT else {"truncated": shown[:LONGEST_TEXT]}


def _names(path: tuple[str, ...]) -> list[str]:
    """Names of the nodes on the path: LangGraph's parts are `node:id`."""
    return [part.split(":", 1)[0] for part in path]
