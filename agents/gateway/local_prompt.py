"""Tools for a model that has not learnt any: its choice is bound by a JSON schema, shown by two examples."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from typing import Any, Final

from langchain_core.messages import AIMessage, BaseMessage, HumanMessage, SystemMessage, ToolMessage

from agents.gateway.exceptions import ModelRejected

Tool = Mapping[str, Any]
ANSWER: Final = "answer"
# Cautious: English text has about four characters a token.
CHARACTERS_PER_TOKEN: Final = 3
_SAMPLES: Final = {"integer": 7, "number": 1.5, "boolean": True, "array": [], "object": {}}


def schema_of(tools: Sequence[Tool]) -> dict[str, Any]:
    """What the model may say: a call of one of the tools, or that it wants to answer."""
    return {"oneOf": [*(_choice(_name(tool), _parameters(tool)) for tool in tools), _choice(ANSWER, _NOTHING)]}


_NOTHING: Final[dict[str, Any]] = {"type": "object", "properties": {}, "additionalProperties": False}


def _choice(name: str, parameters: Mapping[str, Any]) -> dict[str, Any]:
    return {
        "type": "object",
        "properties": {"tool": {"const": name}, "args": parameters},
        "required": ["tool", "args"],
        "additionalProperties": False,
    }


def choosing(messages: Sequence[BaseMessage], tools: Sequence[Tool]) -> list[dict[str, str]]:
    """The messages that ask the model which tool it wants."""
    lines = [f"- {_name(tool)}: {_summary(tool)}" for tool in tools]
    system = "\n".join(
        [
            "Choose the tool for the request. Reply with JSON only.",
            *lines,
            f"- {ANSWER}: only small talk, no tool",
        ]
    )
    shown = [turn for tool in tools[:2] for turn in _example(tool)]
    asked = [message for message in messages if isinstance(message, HumanMessage)]
    said = asked[-1].text if asked else ""
    return [{"role": "system", "content": system}, *shown, {"role": "user", "content": said}]


def chosen(reply: str, tools: Sequence[Tool]) -> tuple[str, dict[str, Any]] | None:
    """The call in the model's reply, None when it wants to answer (or said nothing that is a call)."""
    try:
        said = json.loads(reply)
        name, arguments = said["tool"], said["args"]
    except (ValueError, KeyError, TypeError):
        return None
    known = {_name(tool) for tool in tools}
    return (name, arguments) if name in known and isinstance(arguments, dict) else None


def plain(messages: Sequence[BaseMessage]) -> list[dict[str, str]]:
    """The conversation without tools: what they answered is told in words."""
    return [_plain(message) for message in messages if message.text or not isinstance(message, AIMessage)]


def _plain(message: BaseMessage) -> dict[str, str]:
    if isinstance(message, ToolMessage):
        text = f"The tool {message.name or ''} gave this result: {message.text}\nAnswer my question with it."
        return {"role": "user", "content": text}
    if isinstance(message, SystemMessage):
        return {"role": "system", "content": message.text}
    return {"role": "assistant" if isinstance(message, AIMessage) else "user", "content": message.text}


def fitted(messages: Sequence[dict[str, str]], *, tokens: int) -> list[dict[str, str]]:
    """As many of the newest messages as fit, and the system's; raises ModelRejected when the last one does not."""
    system = [message for message in messages if message["role"] == "system"]
    others = [message for message in messages if message["role"] != "system"]
    room = tokens * CHARACTERS_PER_TOKEN - sum(len(message["content"]) for message in system)
    kept: list[dict[str, str]] = []
    for message in reversed(others):
        room -= len(message["content"])
        if room < 0:
            break
        kept.insert(0, message)
    if others and not kept:
        raise ModelRejected(f"The message is too long for the local model, which reads about {tokens} tokens.")
    return [*system, *kept]


def _example(tool: Tool) -> list[dict[str, str]]:
    properties = _parameters(tool).get("properties", {})
    sample = {name: _sample(name, schema) for name, schema in properties.items()}
    values = ", ".join(str(value) for value in sample.values())
    return [
        {"role": "user", "content": f"{_summary(tool)} {values}".strip()},
        {"role": "assistant", "content": json.dumps({"tool": _name(tool), "args": sample})},
    ]


def _sample(name: str, schema: Mapping[str, Any]) -> Any:
    if "default" in schema:
        return schema["default"]
    if schema.get("enum"):
        return schema["enum"][0]
    if name == "expression":
        return "15 * 3"
    return _SAMPLES.get(str(schema.get("type")), name)


def _function(tool: Tool) -> Mapping[str, Any]:
    function: Mapping[str, Any] = tool["function"]
    return function


def _name(tool: Tool) -> str:
    return str(_function(tool)["name"])


def _parameters(tool: Tool) -> Mapping[str, Any]:
    parameters: Mapping[str, Any] = _function(tool).get("parameters") or _NOTHING
    return parameters


def _summary(tool: Tool) -> str:
    return str(_function(tool).get("description") or "").strip().partition("\n")[0]
