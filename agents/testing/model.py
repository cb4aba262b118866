"""A chat model that says what a test wrote down for it."""

from __future__ import annotations

import json
import re
import threading
import time
import uuid
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, cast

from langchain_core.callbacks import CallbackManagerForLLMRun
from langchain_core.language_models import BaseChatModel, LanguageModelInput
from langchain_core.messages import AIMessage, AIMessageChunk, BaseMessage, HumanMessage, ToolMessage
from langchain_core.messages.ai import UsageMetadata
from langchain_core.messages.tool import tool_call_chunk
from langchain_core.outputs import ChatGeneration, ChatGenerationChunk, ChatResult
from langchain_core.runnables import Runnable
from langchain_core.utils.function_calling import convert_to_openai_tool
from pydantic import PrivateAttr


@dataclass(frozen=True, slots=True)
class Reply:
    """One answer of a scripted model: word pieces, then tool calls, then perhaps an error.

    `calls` are pairs of a tool's name and its arguments. `delay` and `piece_delay` are seconds, before the
    first and before every further piece; `gate` holds the answer back until the test sets it.
    """

    text: str = ""
    calls: tuple[tuple[str, Mapping[str, Any]], ...] = ()
    error: BaseException | None = None
    delay: float = 0
    piece_delay: float = 0
    gate: threading.Event | None = None


@dataclass(frozen=True, slots=True)
class Request:
    """What the model was asked: the messages, and the schemas of the tools it was offered, by name."""

    messages: list[BaseMessage]
    tools: dict[str, dict[str, Any]]

    @property
    def said(self) -> str:
        """The person's last words."""
        return next((str(m.text) for m in reversed(self.messages) if isinstance(m, HumanMessage)), "")

    @property
    def tool_answers(self) -> list[tuple[str, str]]:
        """The tools' names and answers since the model last spoke."""
        spoken = [index for index, m in enumerate(self.messages) if isinstance(m, AIMessage)]
        latest = self.messages[spoken[-1] + 1 :] if spoken else self.messages
        return [(m.name or "", str(m.text)) for m in latest if isinstance(m, ToolMessage)]


ScriptItem = str | Reply | BaseException | Callable[[Request], "str | Reply"]


def call(name: str, /, **arguments: Any) -> Reply:
    """The answer of a model that calls one tool."""
    return Reply(calls=((name, arguments),))


class ScriptedChatModel(BaseChatModel):
    """Gives its `replies` one after the other and remembers the `requests` it got.

    A reply is a text, a Reply (or `call(…)`), an exception to raise, or a function of the Request. After the
    last one it raises AssertionError, or gives that one for ever with `repeat_last=True`. It may be shared by
    threads.
    """

    replies: Sequence[Any] = ()
    repeat_last: bool = False
    _requests: list[Request] = PrivateAttr(default_factory=list)
    _turn: Any = PrivateAttr(default_factory=threading.Lock)

    @property
    def requests(self) -> list[Request]:
        """Every request so far, oldest first."""
        return self._requests

    @property
    def _llm_type(self) -> str:
        return "scripted"

    def bind_tools(
        self, tools: Sequence[Any], *, tool_choice: str | None = None, **kwargs: Any
    ) -> Runnable[LanguageModelInput, AIMessage]:
        """The model with these tools on offer."""
        return self.bind(tools=[convert_to_openai_tool(tool) for tool in tools], tool_choice=tool_choice, **kwargs)

    def _generate(
        self,
        messages: list[BaseMessage],
        stop: list[str] | None = None,
        run_manager: CallbackManagerForLLMRun | None = None,
        **kwargs: Any,
    ) -> ChatResult:
        whole = AIMessageChunk(content="")
        for piece in self._stream(messages, stop, None, **kwargs):
            whole = cast("AIMessageChunk", whole + piece.message)
        message = AIMessage(content=whole.content, tool_calls=whole.tool_calls, usage_metadata=whole.usage_metadata)
        return ChatResult(generations=[ChatGeneration(message=message)])

    def _stream(
        self,
        messages: list[BaseMessage],
        stop: list[str] | None = None,
        run_manager: CallbackManagerForLLMRun | None = None,
        **kwargs: Any,
    ) -> Iterator[ChatGenerationChunk]:
        reply = self._next(
            Request(
                list(messages),
                {tool["function"]["name"]: tool["function"] for tool in kwargs.get("tools") or ()},
            )
        )
        for message in _chunks(reply, messages):
            chunk = ChatGenerationChunk(message=message)
            if run_manager:
                run_manager.on_llm_new_token(str(message.content), chunk=chunk)
            yield chunk

    def _next(self, request: Request) -> Reply:
        with self._turn:
            self._requests.append(request)
            position = len(self._requests) - 1
        if self.repeat_last and self.replies:
            position = min(position, len(self.replies) - 1)
        if position >= len(self.replies):
            raise AssertionError(
                f"The model was asked {position + 1} times; its script has {len(self.replies)} replies."
            )
        return _reply(self.replies[position], request)


def _reply(item: ScriptItem, request: Request) -> Reply:
    if isinstance(item, BaseException):
        return Reply(error=item)
    found = item(request) if callable(item) else item
    return Reply(text=found) if isinstance(found, str) else found


def _chunks(reply: Reply, asked: Sequence[BaseMessage]) -> Iterator[AIMessageChunk]:
    if reply.gate is not None:
        reply.gate.wait(60)
    time.sleep(reply.delay)
    pieces = re.findall(r"\s*\S+|\s+$", reply.text)
    for number, piece in enumerate(pieces):
        time.sleep(reply.piece_delay if number else 0)
        yield AIMessageChunk(content=piece)
    for index, (name, arguments) in enumerate(reply.calls):
        identity = f"call_{uuid.uuid4().hex[:12]}"
        made = tool_call_chunk(name=name, args=json.dumps(dict(arguments)), id=identity, index=index)
        yield AIMessageChunk(content="", tool_call_chunks=[made])
    if reply.error is not None:
        raise reply.error
    heard = sum(len(str(message.text).split()) for message in asked)
    spent = UsageMetadata(input_tokens=heard, output_tokens=len(pieces), total_tokens=heard + len(pieces))
    yield AIMessageChunk(content="", usage_metadata=spent, chunk_position="last")
