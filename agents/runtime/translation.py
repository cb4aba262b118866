"""Between a task's JSON and a graph's state."""

from __future__ import annotations

from typing import Any

from langchain_core.messages import BaseMessage, MessageLikeRepresentation, convert_to_messages

from agents.definitions.data import VersionData
from agents.memory.services import history
from agents.runtime.exceptions import UnusableInput
from agents.runtime.graphs import Graph
from agents.runtime.json_values import storable
from agents.tasks.data import Claim

MESSAGES = "messages"
# What a caller says of a message. LangChain would read more in it: its own serialised messages (`lc`), whose role is
# another than the one that was checked, tool calls that nobody made, ids of messages to replace.
SAID = ("role", "content", "name")
_CONVERSATION = "conversation:"


def input_of(claim: Claim, graph: Graph, version: VersionData) -> Any:
    """What the graph begins with.

    A graph with messages is given them: a text, or the text of a conversation's message, as the user's, after
    as many of the conversation's earlier turns as the agent remembers. Any other graph gets the task's input
    as it is. Raises UnusableInput when messages are not messages.
    """
    given = claim.input
    if MESSAGES not in graph.channels:
        return given
    if (text := _text_of(given)) is not None:
        return {MESSAGES: [*_history(claim, version), *_messages([{"role": "user", "content": text}])]}
    if isinstance(given, dict) and MESSAGES in given:
        return given | {MESSAGES: _messages([_said(message) for message in given[MESSAGES]])}
    return given


def result_of(graph: Graph, state: Any) -> Any:
    """The task's result: `{"text", "messages"}` of a graph with messages, with the number of messages; else
    its state.
    """
    if MESSAGES in graph.channels and isinstance(state, dict) and MESSAGES in state:
        messages = state[MESSAGES]
        text = str(messages[-1].text) if messages and isinstance(messages[-1], BaseMessage) else ""
        return storable({"text": text, "messages": len(messages)})
    return storable(state)


def _text_of(given: Any) -> str | None:
    if isinstance(given, str):
        return given
    if isinstance(given, dict) and isinstance(given.get("text"), str) and given.keys() <= {"text", "conversation"}:
        return str(given["text"])
    return None


def _history(claim: Claim, version: VersionData) -> list[BaseMessage]:
    if not version.memory_messages or not (claim.serial_key or "").startswith(_CONVERSATION):
        return []
    turns = history(task_id=claim.task_id, limit=version.memory_messages)
    return _messages([{"role": turn.role, "content": turn.content} for turn in turns])


def _said(message: Any) -> dict[str, Any]:
    """Only that. Raises UnusableInput for what is no message."""
    if not isinstance(message, dict):
        raise UnusableInput("The messages cannot be read: each has to be an object.")
    return {name: message[name] for name in SAID if name in message}


def _messages(given: list[MessageLikeRepresentation]) -> list[BaseMessage]:
    try:
        return convert_to_messages(given)
    except (ValueError, TypeError, KeyError, NotImplementedError) as error:
        raise UnusableInput(f"The messages cannot be read: {error}") from error
