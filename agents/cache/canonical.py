"""One form for all requests that are the same: whatever the order of their mappings and the random ids of tool calls.

Nothing here imports LangChain: messages are read by their attributes.
"""

from __future__ import annotations

import hashlib
import json
import math
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any, Final

DEEPEST: Final = 64
# Raised when the form below changes: digests of another form are never compared.
FORM: Final = 1

_TYPES: Final = {
    "AIMessageChunk": "ai", "HumanMessageChunk": "human", "SystemMessageChunk": "system", "ToolMessageChunk": "tool",
    "FunctionMessageChunk": "function", "ChatMessageChunk": "chat",
}  # fmt: skip
_KNOWN: Final = frozenset({"human", "ai", "system", "tool", "function", "chat"})
_SYSTEM: Final = frozenset({"system", "developer"})
# Keys under which providers' content blocks hold the id of a tool call.
_ID_KEYS: Final = frozenset({"id", "tool_call_id", "tool_use_id", "call_id"})
# What belongs to this one call, not to what is asked: how long it may take, how it is delivered.
_NOT_ASKED: Final = frozenset({"timeout", "request_timeout", "stream", "stream_usage"})


class NotCanonical(Exception):
    """The request holds something that is not JSON."""


Ids = dict[str, int]
"""The ids of tool calls, by the order in which they come."""


def digest(value: Any) -> str:
    """SHA-256, in hex, of a value that `plain` has given."""
    text = json.dumps(value, sort_keys=True, ensure_ascii=False, separators=(",", ":"), allow_nan=False)
    return hashlib.sha256(text.encode("utf-8", "surrogatepass")).hexdigest()


def plain(value: Any, ids: Ids | None = None, *, deep: int = 0) -> Any:
    """The same as plain JSON, ids of known tool calls replaced by their numbers. Raises NotCanonical.

    A Pydantic class, as `response_format` may be one, is its name and its schema.
    """
    if deep > DEEPEST:
        raise NotCanonical("depth")
    if isinstance(value, Mapping):
        return {_name(name): _plain_item(name, item, ids, deep) for name, item in value.items()}
    if isinstance(value, list | tuple):
        return [plain(item, ids, deep=deep + 1) for item in value]
    return _plain_scalar(value, deep)


def _plain_scalar(value: Any, deep: int) -> Any:
    if value is None or isinstance(value, bool):
        return value
    # Also members of enumerations, which are strings or numbers besides.
    if isinstance(value, str):
        return str.__str__(value)
    if isinstance(value, int):
        return int(value)
    if not isinstance(value, float):
        return _schema(value, deep)
    if not math.isfinite(value):
        raise NotCanonical("number")
    return float(value)


def _name(name: object) -> str:
    # 1 and "1" would be one key of JSON.
    if not isinstance(name, str):
        raise NotCanonical("key")
    return str(name)


def _plain_item(name: str, item: Any, ids: Ids | None, deep: int) -> Any:
    if ids and name in _ID_KEYS and isinstance(item, str) and item in ids:
        return ids[item]
    return plain(item, ids, deep=deep + 1)


def _schema(value: Any, deep: int) -> dict[str, Any]:
    schema: Callable[[], Any] | None = getattr(value, "model_json_schema", None)
    if not isinstance(value, type) or schema is None:
        raise NotCanonical(type(value).__name__)
    return {"class": f"{value.__module__}.{value.__qualname__}", "schema": plain(schema(), deep=deep + 1)}


def messages_of(messages: Sequence[Any]) -> list[dict[str, Any]]:
    """The messages as plain JSON. Raises NotCanonical."""
    ids: Ids = {}
    return [_message(message, ids) for message in messages]


def options_of(options: Mapping[str, Any]) -> dict[str, Any]:
    """Parameters or options without those of the call itself. Raises NotCanonical."""
    found = plain({name: value for name, value in options.items() if name not in _NOT_ASKED and value is not None})
    assert isinstance(found, dict)  # noqa: S101 (of a mapping)
    return found


def is_system(message: Mapping[str, Any]) -> bool:
    """Whether a canonical message is part of the prompt instead of the conversation."""
    return message["type"] in _SYSTEM or message.get("role") in _SYSTEM


def _message(message: Any, ids: Ids) -> dict[str, Any]:
    kind = _TYPES.get(message.type, message.type)
    if kind not in _KNOWN:
        raise NotCanonical(str(kind))
    calls = [_call(call, ids) for call in getattr(message, "tool_calls", None) or ()]
    said: dict[str, Any] = {
        "type": kind,
        "content": plain(message.content, ids),
        "name": getattr(message, "name", None),
        "role": getattr(message, "role", None),
        "tool_calls": calls,
        "invalid_tool_calls": plain(getattr(message, "invalid_tool_calls", None) or [], ids),
        "tool_call_id": _id(getattr(message, "tool_call_id", None), ids),
        # An error of a tool is another thing to the model than its answer; success is what is not said.
        "status": getattr(message, "status", None) if kind == "tool" else None,
        "more": _more(message.additional_kwargs, ids, has_calls=bool(calls)),
    }
    return {name: value for name, value in said.items() if value not in (None, [], {}) or name == "content"}


def _call(call: Mapping[str, Any], ids: Ids) -> dict[str, Any]:
    if given := call.get("id"):
        ids.setdefault(str(given), len(ids))
    return {"name": call.get("name"), "args": plain(call.get("args"), ids), "id": _id(call.get("id"), ids)}


def _id(given: Any, ids: Ids) -> int | str | None:
    return None if given is None else ids.get(str(given), str(given))


def _more(given: Mapping[str, Any], ids: Ids, *, has_calls: bool) -> Any:
    """What else the provider's client may send; the raw form of tool calls says what `tool_calls` say."""
    left_out: Iterable[str] = ("tool_calls",) if has_calls else ()
    return plain({name: value for name, value in given.items() if value is not None and name not in left_out}, ids)
