"""One try of one model: its pieces under a guard."""

from __future__ import annotations

import queue
import threading
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextvars import copy_context
from typing import Any, Final

from langchain_core.language_models import BaseChatModel
from langchain_core.messages import AIMessage, AIMessageChunk, BaseMessage
from langchain_core.outputs import ChatGeneration

from agents.gateway.building import is_guarded
from agents.gateway.exceptions import BrokenAnswer
from agents.gateway.guarding import SLICE_SECONDS, Guard, Overdue, watch
from foundation.threads import close_connections

Start = Callable[[], Iterator[ChatGeneration]]
_END: Final = object()


def pieces_of(
    model: BaseChatModel, messages: Sequence[BaseMessage], options: Mapping[str, Any], guard: Guard, *, streamed: bool
) -> Iterator[ChatGeneration]:
    """What the model says: chunks, or one whole answer. Raises Overdue, Abandoned, and what the provider's client
    raises.
    """
    asked = list(messages)
    guard.asked()
    is_streamed = streamed and type(model)._stream is not BaseChatModel._stream  # noqa: SLF001 (LangChain's hook)

    def start() -> Iterator[ChatGeneration]:
        if is_streamed:
            return model._stream(asked, **options)  # noqa: SLF001 (LangChain's hook)
        return iter([_whole(model, asked, options)])

    return _direct(start, guard) if is_guarded(model) else _pumped(start, guard)


def _whole(model: BaseChatModel, messages: list[BaseMessage], options: Mapping[str, Any]) -> ChatGeneration:
    result = model._generate(messages, **options)  # noqa: SLF001 (LangChain's hook)
    if not result.generations:
        raise BrokenAnswer
    answer = result.generations[0]
    if result.llm_output:
        answer.message.response_metadata = {**result.llm_output, **answer.message.response_metadata}
    return answer


def has_content(piece: ChatGeneration) -> bool:
    """Whether something is said in it."""
    message = piece.message
    if message.content or message.additional_kwargs:
        return True
    if isinstance(message, AIMessageChunk):
        return bool(message.tool_call_chunks or message.tool_calls)
    return isinstance(message, AIMessage) and bool(message.tool_calls)


def _direct(start: Start, guard: Guard) -> Iterator[ChatGeneration]:
    """In this thread: whatever waits asks the guard itself."""
    found: Iterator[ChatGeneration] | None = None
    try:
        while True:
            before = watch(guard)
            try:
                if found is None:
                    found = start()
                piece = next(found, None)
            finally:
                watch(before)
            if piece is None:
                return
            yield from _guarded(piece, guard)
    finally:
        close: Callable[[], None] | None = getattr(found, "close", None)
        if close is not None:
            close()


def _guarded(piece: ChatGeneration, guard: Guard) -> Iterator[ChatGeneration]:
    if has_content(piece) or piece.generation_info:
        guard.progress()
    guard.left()
    given = time.monotonic()
    yield piece
    guard.resumed(time.monotonic() - given)


def _pumped(start: Start, guard: Guard) -> Iterator[ChatGeneration]:
    """For clients whose waits nobody can bound: in a thread of the call, which is left alone when it takes too long."""
    handed: queue.SimpleQueue[Any] = queue.SimpleQueue()
    gone = threading.Event()
    context = copy_context()
    thread = threading.Thread(target=context.run, args=(_pump, start, handed, gone), name="model-pump", daemon=True)
    thread.start()
    try:
        while (given := _taken(handed, guard)) is not _END:
            if isinstance(given, BaseException):
                raise given
            yield from _guarded(given, guard)
    finally:
        gone.set()


def _taken(handed: queue.SimpleQueue[Any], guard: Guard) -> Any:
    while True:
        try:
            return handed.get(timeout=min(guard.left(), SLICE_SECONDS))
        except queue.Empty:
            continue


def _pump(start: Start, handed: queue.SimpleQueue[Any], gone: threading.Event) -> None:
    found: Iterator[ChatGeneration] | None = None
    try:
        found = start()
        for piece in found:
            if gone.is_set():
                return
            handed.put(piece)
        handed.put(_END)
    except BaseException as error:
        handed.put(error)
    finally:
        close: Callable[[], None] | None = getattr(found, "close", None)
        if close is not None:
            close()
        close_connections()


__all__ = ["Overdue", "has_content", "pieces_of"]
