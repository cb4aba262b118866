"""Answers that begin anew in the middle: how the pieces say so, and what is left of them when they are put together."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final

from langchain_core.messages import AIMessageChunk, BaseMessage
from langchain_core.outputs import ChatGeneration, ChatGenerationChunk
from langchain_core.outputs.chat_generation import merge_chat_generation_chunks

RESTART: Final = "mutirao_restart"


class RestartChunk(AIMessageChunk):
    """A piece that says: what was said so far does not count, the answer begins anew.

    `response_metadata["mutirao_restart"]` is `{"from": deployment, "why": error}`. Added to what came before, nothing
    is left of that: Python asks the right operand first when its class is a subclass of the left one's.
    """

    def __radd__(self, before: Any) -> AIMessageChunk:
        return AIMessageChunk(content="", id=getattr(before, "id", None) or self.id)


class FirstPiece(ChatGenerationChunk):
    """The first piece of a stream: LangChain adds the others to it as a list, which has no right operand to ask."""

    def __add__(self, other: Any) -> ChatGenerationChunk:
        pieces = [self, *other] if isinstance(other, list) else [self, other]
        plain = [ChatGenerationChunk(message=each.message, generation_info=each.generation_info) for each in pieces[:1]]
        counted = after_restart([*plain, *pieces[1:]])
        found = merge_chat_generation_chunks(counted)
        return found or ChatGenerationChunk(message=AIMessageChunk(content="", id=self.message.id))


def restart(*, deployment: str, why: str) -> ChatGenerationChunk:
    """The piece that tells of it."""
    said = {RESTART: {"from": deployment, "why": why}}
    return ChatGenerationChunk(message=RestartChunk(content="", response_metadata=said))


def restart_of(message: BaseMessage) -> Mapping[str, str] | None:
    """Why the answer begins anew with this piece; None when it does not."""
    found: Mapping[str, str] | None = message.response_metadata.get(RESTART)
    return found


def after_restart(pieces: list[ChatGenerationChunk]) -> list[ChatGenerationChunk]:
    """The pieces that count: those after the last restart."""
    for place in range(len(pieces) - 1, -1, -1):
        if restart_of(pieces[place].message) is not None:
            return pieces[place + 1 :]
    return pieces


def first(piece: ChatGeneration) -> ChatGenerationChunk:
    """This piece as the first of a stream."""
    return FirstPiece(message=as_chunk(piece), generation_info=piece.generation_info)


def as_chunk(piece: ChatGeneration) -> AIMessageChunk:
    """A piece's message, also of one that is whole."""
    message: Any = piece.message
    if isinstance(message, AIMessageChunk):
        return message
    return AIMessageChunk(
        content=message.content, additional_kwargs=message.additional_kwargs, id=message.id,
        response_metadata=message.response_metadata, tool_calls=message.tool_calls,
        invalid_tool_calls=message.invalid_tool_calls, usage_metadata=message.usage_metadata,
    )  # fmt: skip
