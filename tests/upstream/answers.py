"""What the scripted upstream answers to a chat request, as OpenAI's chat completions
(https://platform.openai.com/docs/api-reference/chat).
"""

from __future__ import annotations

import itertools
import json
import re
import time
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace
from typing import Any

from tests.upstream.examples import QUOTATION, Example
from tests.upstream.script import Behaviour, Call

FINGERPRINT = "fp_scripted"
WORD = re.compile(r"\s*\S+")
CHARACTERS_PER_TOKEN = 4
PIECE_OF_JSON = 8
_numbers = itertools.count(1)


@dataclass(frozen=True, slots=True)
class Answer:
    """What will be said: pieces of text or tool calls, why it ends, and what was used."""

    id: str
    created: int
    model: str
    pieces: tuple[str, ...]
    calls: tuple[tuple[str, Call], ...]
    finish: str
    usage: Mapping[str, Any]
    choices: int = 1
    thoughts: tuple[Mapping[str, Any], ...] = ()

    @classmethod
    def to(cls, body: Mapping[str, Any], behaviour: Behaviour) -> Answer:
        """What the behaviour makes of the request."""
        calls = behaviour.calls or tuple(_wanted_calls(body))
        pieces, finish = ((), "tool_calls") if calls else _bounded(_pieces(body, behaviour), body)
        number = next(_numbers)
        return cls(
            id=f"chatcmpl-{number}",
            created=int(time.time()),
            model=body["model"],
            pieces=pieces,
            calls=tuple((f"call_{number}_{place}", call) for place, call in enumerate(calls)),
            finish=finish,
            usage=_usage(body, behaviour, pieces, calls),
            choices=body.get("n") or 1,
            # As vLLM sends them: with an answer that has not begun yet.
            thoughts=({"content": None, behaviour.thinks_in: "Hm. "},) * behaviour.thoughts,
        )

    def filtered(self, after: int) -> Answer:
        """Cut by the provider's filter."""
        return replace(self, pieces=self.pieces[:after], finish="content_filter")

    def whole(self) -> dict[str, Any]:
        """As one body."""
        message: dict[str, Any] = {"role": "assistant", "content": "".join(self.pieces), "refusal": None}
        message["annotations"] = []
        if self.calls:
            message |= {"content": None, "tool_calls": [_called(name, call) for name, call in self.calls]}
        choices = [
            {"index": number, "message": message, "logprobs": None, "finish_reason": self.finish}
            for number in range(self.choices)
        ]
        return self._frame("chat.completion") | {"choices": choices, "usage": self.usage}

    def chunks(self, *, with_usage: bool) -> Iterator[tuple[bool, bytes]]:
        """As server-sent events, with whether each is a piece of the answer; `[DONE]` is not among them."""
        deltas = [*self._deltas()]
        for number, delta in itertools.product(range(self.choices), [{"role": "assistant", "content": ""}]):
            yield False, self._chunk(number, delta, None, with_usage=with_usage)
        for delta, number in itertools.product(deltas, range(self.choices)):
            yield True, self._chunk(number, delta, None, with_usage=with_usage)
        for number in range(self.choices):
            yield False, self._chunk(number, {}, self.finish, with_usage=with_usage)
        if with_usage:
            yield False, event(self._frame("chat.completion.chunk") | {"choices": [], "usage": self.usage})

    def _deltas(self) -> Iterator[Mapping[str, Any]]:
        yield from self.thoughts
        for piece in self.pieces:
            yield {"content": piece}
        for place, (name, call) in enumerate(self.calls):
            opening = _called(name, Call(call.name, ""))
            yield {"tool_calls": [{"index": place, **opening}]}
            for part in in_parts(call.arguments):
                yield {"tool_calls": [{"index": place, "function": {"arguments": part}}]}

    def _chunk(self, number: int, delta: Mapping[str, Any], finish: str | None, *, with_usage: bool) -> bytes:
        choice = {"index": number, "delta": delta, "logprobs": None, "finish_reason": finish}
        usage = {"usage": None} if with_usage else {}
        return event(self._frame("chat.completion.chunk") | {"choices": [choice]} | usage)

    def _frame(self, kind: str) -> dict[str, Any]:
        return {
            "id": self.id, "object": kind, "created": self.created, "model": self.model, "service_tier": "default",
            "system_fingerprint": FINGERPRINT,
        }  # fmt: skip


def event(data: Any) -> bytes:
    """One server-sent event."""
    return f"data: {json.dumps(data)}\n\n".encode()


def in_parts(text: str) -> list[str]:
    """As JSON goes out piece by piece."""
    return [text[start : start + PIECE_OF_JSON] for start in range(0, len(text), PIECE_OF_JSON)]


def _called(name: str, call: Call) -> dict[str, Any]:
    return {"id": name, "type": "function", "function": {"name": call.name, "arguments": call.arguments}}


def _pieces(body: Mapping[str, Any], behaviour: Behaviour) -> list[str]:
    asked = body.get("response_format") or {}
    if asked.get("type") == "json_schema":
        schema = asked["json_schema"].get("schema", {})
        return in_parts(json.dumps(Example(schema, last_text(body)).of(schema)))
    if asked.get("type") == "json_object":
        keys = QUOTATION.findall(last_text(body)) or ["answer"]
        return in_parts(json.dumps(dict.fromkeys(keys, behaviour.text)))
    if behaviour.pieces is not None:
        return [f"word{number} " for number in range(behaviour.pieces)]
    return WORD.findall(behaviour.text)


def _bounded(pieces: list[str], body: Mapping[str, Any]) -> tuple[tuple[str, ...], str]:
    """The pieces before a stop sequence, and not more than the most tokens; why they end."""
    finish = "stop"
    most = body.get("max_completion_tokens") or body.get("max_tokens")
    if most is not None and len(pieces) > most:
        pieces, finish = pieces[:most], "length"
    stops = body.get("stop") or []
    text = "".join(pieces)
    places = [text.find(stop) for stop in ([stops] if isinstance(stops, str) else stops) if stop in text]
    return (tuple(pieces), finish) if not places else (tuple(WORD.findall(text[: min(places)])), "stop")


def _wanted_calls(body: Mapping[str, Any]) -> Iterator[Call]:
    """The tool that must be called, or those that the user names, at least by their last word."""
    tools = {tool["function"]["name"]: tool["function"] for tool in body.get("tools") or () if "function" in tool}
    choice = body.get("tool_choice", "auto")
    if not tools or choice == "none":
        return
    text = last_text(body)
    if isinstance(choice, dict):
        names = [choice["function"]["name"]]
    else:
        names = [name for name in tools if _is_word(name, text)] or [
            name for name in tools if _is_word(name.rpartition("_")[2], text)
        ]
    if choice in ("required", "any") and not names:
        names = [next(iter(tools))]
    for name in names if body.get("parallel_tool_calls", True) else names[:1]:
        schema = tools[name].get("parameters") or {}
        yield Call(name, json.dumps(Example(schema, text).of({"type": "object", **schema})))


def _is_word(name: str, text: str) -> bool:
    return re.search(rf"\b{re.escape(name)}\b", text) is not None


def last_text(body: Mapping[str, Any]) -> str:
    """What the user has just said; nothing when the last word is not the user's."""
    last = body["messages"][-1]
    return text_of(last) if last["role"] == "user" else ""


def text_of(message: Mapping[str, Any]) -> str:
    """The text of a message, whatever else is in it."""
    content = message.get("content")
    if isinstance(content, list):
        return " ".join(part["text"] for part in content if part.get("type") == "text")
    return content or ""


def _usage(
    body: Mapping[str, Any], behaviour: Behaviour, pieces: tuple[str, ...], calls: tuple[Call, ...]
) -> dict[str, Any]:
    asked = behaviour.prompt_tokens
    if asked is None:
        asked = 3 + sum(4 + len(text_of(each)) // CHARACTERS_PER_TOKEN for each in body["messages"])
    said = len(pieces) + sum(1 + len(in_parts(call.arguments)) for call in calls)
    said = said * (body.get("n") or 1) + behaviour.reasoning_tokens
    return {
        "prompt_tokens": asked, "completion_tokens": said, "total_tokens": asked + said,
        "prompt_tokens_details": {"cached_tokens": behaviour.cached_tokens, "audio_tokens": 0},
        "completion_tokens_details": {
            "reasoning_tokens": behaviour.reasoning_tokens, "audio_tokens": 0, "accepted_prediction_tokens": 0,
            "rejected_prediction_tokens": 0,
        },
    }  # fmt: skip
