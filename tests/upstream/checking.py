"""What OpenAI's API refuses about a chat request."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any

from tests.upstream.errors import wrong

ROLES = ("system", "developer", "user", "assistant", "tool", "function")
PARTS = ("text", "image_url", "input_audio", "file", "refusal")


def read_body(data: bytes) -> dict[str, Any]:
    """JSON, or else a Refusal."""
    try:
        body = json.loads(data)
    except ValueError:
        body = None
    if not isinstance(body, dict):
        raise wrong("We could not parse the JSON body of your request.")
    if not isinstance(body.get("model"), str):
        raise wrong("you must provide a model parameter")
    return body


def check_chat(body: Mapping[str, Any]) -> None:
    """Raises a Refusal."""
    messages = body.get("messages")
    if not isinstance(messages, list) or not messages:
        raise wrong("Missing required parameter: 'messages'.", "messages", code="missing_required_parameter")
    asked: set[str] = set()
    for number, message in enumerate(messages):
        _check_message(number, message, asked)
    if asked:
        raise wrong(
            "An assistant message with 'tool_calls' must be followed by tool messages responding to each "
            f"'tool_call_id'. The following tool_call_ids did not have response messages: {', '.join(sorted(asked))}",
            "messages",
        )
    _check_json_mode(body)


def _check_message(number: int, message: Any, asked: set[str]) -> None:
    role = message.get("role") if isinstance(message, dict) else None
    if role not in ROLES:
        supported = ", ".join(f"'{each}'" for each in ROLES)
        raise wrong(
            f"Invalid value: '{role}'. Supported values are: {supported}.",
            f"messages[{number}].role",
            code="invalid_value",
        )
    if role == "tool":
        if message.get("tool_call_id") not in asked:
            raise wrong(
                "Invalid parameter: messages with role 'tool' must be a response to a preceeding message with "
                "'tool_calls'.",
                f"messages.[{number}].role",
            )
        asked.discard(message["tool_call_id"])
    asked.update(call["id"] for call in message.get("tool_calls") or ())
    _check_content(number, message)


def _check_content(number: int, message: Mapping[str, Any]) -> None:
    content = message.get("content")
    if content is None and not message.get("tool_calls") and not message.get("function_call"):
        raise wrong("Invalid value for 'content': expected a string, got null.", f"messages.[{number}].content")
    for part in content if isinstance(content, list) else ():
        if part.get("type") not in PARTS:
            raise wrong(
                f"Invalid value: '{part.get('type')}'. Supported values are: {', '.join(map(repr, PARTS))}.",
                f"messages[{number}].content[0].type",
                code="invalid_value",
            )


def _check_json_mode(body: Mapping[str, Any]) -> None:
    asked = body.get("response_format") or {}
    if asked.get("type") == "json_object" and "json" not in json.dumps(body["messages"]).lower():
        raise wrong(
            "'messages' must contain the word 'json' in some form, to use 'response_format' of type 'json_object'.",
            "messages",
        )
    if asked.get("type") == "json_schema" and "name" not in asked.get("json_schema", {}):
        raise wrong(
            "Missing required parameter: 'response_format.json_schema'.",
            "response_format.json_schema",
            code="missing_required_parameter",
        )
