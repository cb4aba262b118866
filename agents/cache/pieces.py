"""Pieces of answers as JSON and back, in a form of our own: LangChain's serialised objects are no schema.

A piece: `{"content", "more"?, "metadata"?, "usage"?, "calls"?, "info"?, "whole"?, "last"?}`. `whole` marks an answer
that came in one; its `calls` are `{"name", "args", "id"}`, those of the others are `{"name", "args", "id", "index"}`
with `args` as text.
"""

from __future__ import annotations

import uuid
from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Any, Final

from langchain_core.messages import AIMessage, AIMessageChunk, BaseMessage, message_chunk_to_message
from langchain_core.messages.tool import tool_call_chunk
from langchain_core.outputs import ChatGeneration, ChatGenerationChunk

from agents.cache.canonical import plain
from agents.gateway.restarts import RESTART, RestartChunk

Piece = dict[str, Any]

MOST_PIECES: Final = 256
_ID_KEYS: Final = frozenset({"id", "tool_call_id", "tool_use_id", "call_id"})


def written(generation: ChatGeneration) -> Piece:
    """One piece as JSON. Raises NotCanonical when something in it is not JSON."""
    message = generation.message
    is_chunk = isinstance(message, AIMessageChunk)
    calls = message.tool_call_chunks if isinstance(message, AIMessageChunk) else getattr(message, "tool_calls", [])
    said: Piece = {
        "more": _more(message.additional_kwargs),
        "metadata": plain(message.response_metadata),
        "usage": plain(getattr(message, "usage_metadata", None) or {}),
        "calls": [_call(call) for call in calls],
        "info": plain(generation.generation_info or {}),
        "whole": not is_chunk,
        "last": getattr(message, "chunk_position", None) == "last",
    }
    return {"content": plain(message.content)} | {name: value for name, value in said.items() if value}


def _call(call: Mapping[str, Any]) -> dict[str, Any]:
    found = {name: plain(call.get(name)) for name in ("name", "args", "id", "index")}
    return found if found["index"] is not None else {name: found[name] for name in ("name", "args", "id")}


def _more(given: Mapping[str, Any]) -> Any:
    """`parsed` holds an object of the structured output's class, which its parser also makes of a mapping."""
    parsed = given.get("parsed")
    dump = getattr(parsed, "model_dump", None)
    return plain({**given, "parsed": dump(mode="json")} if dump is not None else given)


def read(piece: Piece, *, metadata: Mapping[str, Any] | None = None) -> ChatGeneration:
    """The piece again, without an id, so that it gets one of its own: a chunk, or a whole answer if it was one."""
    if piece.get("whole"):
        return ChatGeneration(message=_message(piece, metadata or {}), generation_info=piece.get("info"))
    return ChatGenerationChunk(message=_chunk(piece, metadata or {}), generation_info=piece.get("info"))


def as_chunk(piece: Piece, *, metadata: Mapping[str, Any] | None = None) -> ChatGenerationChunk:
    """The same, a whole answer as the one chunk of a stream."""
    if not piece.get("whole"):
        return ChatGenerationChunk(message=_chunk(piece, metadata or {}), generation_info=piece.get("info"))
    message = _message(piece, metadata or {})
    chunk = AIMessageChunk(
        content=message.content,
        additional_kwargs=message.additional_kwargs,
        response_metadata=message.response_metadata,
        tool_calls=message.tool_calls,
        usage_metadata=message.usage_metadata,
        chunk_position="last",
    )
    return ChatGenerationChunk(message=chunk, generation_info=piece.get("info"))


def note(metadata: Mapping[str, Any]) -> ChatGenerationChunk:
    """An empty chunk that only has metadata."""
    return ChatGenerationChunk(message=AIMessageChunk(content="", response_metadata=dict(metadata)))


def is_restart(piece: Piece) -> bool:
    """Whether it tells to forget what came before."""
    return RESTART in piece.get("metadata", {})


def _chunk(piece: Piece, metadata: Mapping[str, Any]) -> AIMessageChunk:
    made = RestartChunk if is_restart(piece) else AIMessageChunk
    return made(
        content=piece["content"],
        additional_kwargs=dict(piece.get("more", {})),
        response_metadata={**piece.get("metadata", {}), **metadata},
        usage_metadata=piece.get("usage") or None,
        tool_call_chunks=[
            tool_call_chunk(name=call["name"], args=call["args"], id=call["id"], index=call.get("index"))
            for call in piece.get("calls", ())
        ],
        chunk_position="last" if piece.get("last") else None,
    )


def _message(piece: Piece, metadata: Mapping[str, Any]) -> AIMessage:
    return AIMessage(
        content=piece["content"],
        additional_kwargs=dict(piece.get("more", {})),
        response_metadata={**piece.get("metadata", {}), **metadata},
        usage_metadata=piece.get("usage") or None,
        tool_calls=[{**call, "type": "tool_call"} for call in piece.get("calls", ())],
    )


def since_restart(pieces: Sequence[Piece]) -> list[Piece]:
    """What counts: the pieces after the last restart."""
    last = max((n for n, piece in enumerate(pieces) if is_restart(piece)), default=-1)
    return [*pieces[last + 1 :]]


def whole(pieces: Sequence[Piece]) -> Piece:
    """All of the pieces as one whole answer. Raises ValueError for none."""
    if not pieces:
        raise ValueError("There are no pieces.")
    if pieces[-1].get("whole"):
        return pieces[-1]
    message = message_chunk_to_message(_joined(pieces).message)
    info: dict[str, Any] = {}
    for piece in pieces:
        info |= piece.get("info", {})
    # Where whoever asks for a whole answer looks for it.
    message.response_metadata = message.response_metadata | info
    return written(ChatGeneration(message=message, generation_info=info or None))


def _joined(pieces: Iterable[Piece]) -> ChatGenerationChunk:
    first, *others = [as_chunk(piece) for piece in pieces]
    # All at once: one by one costs the square of their number.
    message: BaseMessage = first.message + [each.message for each in others] if others else first.message
    assert isinstance(message, AIMessageChunk)  # noqa: S101 (made of such)
    return ChatGenerationChunk(message=message)


def fewer(pieces: Sequence[Piece], most: int = MOST_PIECES) -> list[Piece]:
    """The same answer in at most so many pieces, neighbours put together."""
    if len(pieces) <= most:
        return [*pieces]
    size = -(-len(pieces) // most)
    return [_put_together(pieces[at : at + size]) for at in range(0, len(pieces), size)]


def _put_together(pieces: Sequence[Piece]) -> Piece:
    info: dict[str, Any] = {}
    for piece in pieces:
        info |= piece.get("info", {})
    joined = _joined(pieces)
    return written(ChatGenerationChunk(message=joined.message, generation_info=info or None))


def with_new_ids(pieces: Sequence[Piece]) -> list[Piece]:
    """The same, each tool call under an id of its own."""
    names = {call["id"] for piece in pieces for call in piece.get("calls", ()) if call.get("id")}
    if not names:
        return [*pieces]
    new = {name: f"call_{uuid.uuid4().hex[:24]}" for name in names}
    found: list[Piece] = _renamed([*pieces], new)
    return found


def _renamed(value: Any, new: Mapping[str, str]) -> Any:
    if isinstance(value, list):
        return [_renamed(item, new) for item in value]
    if isinstance(value, dict):
        return {
            name: new.get(item, item) if name in _ID_KEYS and isinstance(item, str) else _renamed(item, new)
            for name, item in value.items()
        }
    return value


def same(one: Piece, other: Piece) -> bool:
    """Whether two pieces say the same, apart from what the provider notes of its work."""
    said = ("content", "more", "calls")
    is_alike = [one.get(name) for name in said] == [other.get(name) for name in said]
    return is_alike and is_restart(one) == is_restart(other)


def text_of(piece: Piece) -> str:
    """What it says."""
    content = piece["content"]
    if isinstance(content, str):
        return content
    return "".join(
        part if isinstance(part, str) else str(part.get("text", "")) for part in content if isinstance(part, str | dict)
    )


def usage_of(pieces: Iterable[Piece]) -> tuple[int, int]:
    """Input and output tokens as the provider has told them; zeros where it has not."""
    told = [piece["usage"] for piece in pieces if piece.get("usage")]
    return sum(int(each["input_tokens"]) for each in told), sum(int(each["output_tokens"]) for each in told)


def replayed(pieces: Sequence[Piece], *, streamed: bool, metadata: Mapping[str, Any]) -> Iterator[ChatGeneration]:
    """A stored answer given again, as a stream or in one; the last piece carries this metadata."""
    renewed = with_new_ids(pieces)
    if not streamed:
        yield read(whole(renewed), metadata=metadata)
        return
    for number, piece in enumerate(renewed):
        yield as_chunk(piece, metadata=metadata if number == len(renewed) - 1 else None)
