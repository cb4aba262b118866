"""Every call to a language model goes through here.

LangChain's own cache hook is switched off: it is not consulted by `stream()`.
"""

from __future__ import annotations

import random
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import ExitStack
from typing import Any

from django.conf import settings
from langchain_core.callbacks import CallbackManagerForLLMRun
from langchain_core.language_models import BaseChatModel, LanguageModelInput
from langchain_core.messages import AIMessage, AIMessageChunk, BaseMessage
from langchain_core.outputs import ChatGeneration, ChatGenerationChunk, ChatResult
from langchain_core.runnables import Runnable
from langchain_core.runnables.base import RunnableBinding
from langchain_core.tools import BaseTool
from pydantic import ConfigDict

from agents.gateway.building import build, takes_timeout
from agents.gateway.data import CallContext
from agents.gateway.errors import translated
from agents.gateway.exceptions import (
    CostLimitReached,
    ModelTimeout,
    ModelUnavailable,
    PriceUnknown,
    TokenLimitReached,
)
from agents.gateway.prices import cost_of
from agents.gateway.providers import describe, validate_model_name
from agents.gateway.recording import Recording, characters_of
from telemetry.spans import current_trace_id, span

FIRST_PAUSE_SECONDS = 0.2


def chat_model(model: str, *, parameters: Mapping[str, Any], context: CallContext) -> GatewayChatModel:
    """The model of this name (`provider:model`) for one run; raises GatewayError when there is none.

    Its calls are bounded, repeated while nothing has been said yet, counted and recorded. They raise GatewayError.
    """
    validate_model_name(model)
    provider, name = describe(model)
    return GatewayChatModel(inner=build(provider, name, parameters), provider=provider, model=name, context=context)


class GatewayChatModel(BaseChatModel):
    """A provider's chat model under the gateway's rules. Asynchronous calls run in threads (LangChain's default)."""

    model_config = ConfigDict(arbitrary_types_allowed=True, protected_namespaces=())

    inner: BaseChatModel
    provider: str
    model: str
    context: CallContext
    cache: bool = False

    @property
    def _llm_type(self) -> str:
        return f"mutirao-{self.provider}"

    def bind_tools(
        self,
        tools: Sequence[dict[str, Any] | type | Callable[..., Any] | BaseTool],
        *,
        tool_choice: str | None = None,
        **kwargs: Any,
    ) -> Runnable[LanguageModelInput, AIMessage]:
        """As the provider's own model binds them."""
        bound = self.inner.bind_tools(tools, tool_choice=tool_choice, **kwargs)
        return self.bind(**(bound.kwargs if isinstance(bound, RunnableBinding) else {}))

    def _generate(
        self,
        messages: list[BaseMessage],
        stop: list[str] | None = None,
        run_manager: CallbackManagerForLLMRun | None = None,
        **kwargs: Any,
    ) -> ChatResult:
        pieces = self._called(messages, lambda limits: self._whole(messages, stop, kwargs | limits))
        results = list(pieces)
        return ChatResult(generations=[ChatGeneration(message=results[-1].message)])

    def _stream(
        self,
        messages: list[BaseMessage],
        stop: list[str] | None = None,
        run_manager: CallbackManagerForLLMRun | None = None,
        **kwargs: Any,
    ) -> Iterator[ChatGenerationChunk]:
        for piece in self._called(messages, lambda limits: self._pieces(messages, stop, kwargs | limits)):
            if isinstance(piece, ChatGenerationChunk):
                yield piece
            else:
                yield ChatGenerationChunk(message=_as_chunk(piece.message))

    def _whole(
        self, messages: list[BaseMessage], stop: list[str] | None, kwargs: dict[str, Any]
    ) -> Iterator[ChatGeneration]:
        yield self.inner._generate(messages, stop=stop, **kwargs).generations[0]  # noqa: SLF001 (LangChain's hook)

    def _pieces(
        self, messages: list[BaseMessage], stop: list[str] | None, kwargs: dict[str, Any]
    ) -> Iterator[ChatGeneration]:
        if type(self.inner)._stream is BaseChatModel._stream:  # noqa: SLF001 (LangChain's hook)
            yield from self._whole(messages, stop, kwargs)
        else:
            yield from self.inner._stream(messages, stop=stop, **kwargs)  # noqa: SLF001 (LangChain's hook)

    def _called(
        self, messages: list[BaseMessage], start: Callable[[dict[str, Any]], Iterator[ChatGeneration]]
    ) -> Iterator[ChatGeneration]:
        self._refuse_beyond_limit()
        ends = self._ends_at()
        with ExitStack() as stack:
            if current_trace_id():
                stack.enter_context(span("model", f"{self.provider}:{self.model}"))
            recording = Recording(self.provider, self.model, self.context, characters_of(messages))
            try:
                for piece in self._tried(start, ends):
                    if isinstance(piece.message, AIMessage):
                        recording.see(piece.message)
                    yield piece
            except BaseException as error:
                recording.finish(error)
                raise
            recording.finish()

    def _tried(
        self, start: Callable[[dict[str, Any]], Iterator[ChatGeneration]], ends: float
    ) -> Iterator[ChatGeneration]:
        for attempt in range(settings.MODEL_CALL_TRIES):
            began = False
            try:
                for piece in start(self._limits(ends)):
                    began = True
                    _remaining(ends)
                    yield piece
            except Exception as error:
                known = translated(error)
                pause = FIRST_PAUSE_SECONDS * 2**attempt * random.uniform(0.5, 1)  # noqa: S311 (spreads load only)
                may_help = isinstance(known, ModelUnavailable) and not began and known.retry_after is None
                if not may_help or attempt + 1 == settings.MODEL_CALL_TRIES or time.monotonic() + pause >= ends:
                    if known is error:
                        raise
                    # The provider's own error may quote what it was sent.
                    raise known from None
                time.sleep(pause)
            else:
                return

    def _limits(self, ends: float) -> dict[str, Any]:
        remaining = _remaining(ends)
        return {"timeout": remaining} if takes_timeout(self.inner) else {}

    def _ends_at(self) -> float:
        ends = time.monotonic() + settings.MODEL_CALL_TIMEOUT_SECONDS
        return ends if self.context.deadline is None else min(ends, self.context.deadline)

    def _refuse_beyond_limit(self) -> None:
        spent, context = self.context.total, self.context
        if context.token_limit is not None and spent.input_tokens + spent.output_tokens >= context.token_limit:
            raise TokenLimitReached
        if context.cost_limit is None:
            return
        if cost_of(self.provider) is None:
            raise PriceUnknown
        if spent.cost >= context.cost_limit:
            raise CostLimitReached


def _remaining(ends: float) -> float:
    """Seconds left; raises ModelTimeout when there are none."""
    remaining = ends - time.monotonic()
    if remaining <= 0:
        raise ModelTimeout
    return remaining


def _as_chunk(message: BaseMessage) -> AIMessageChunk:
    calls = message.tool_calls if isinstance(message, AIMessage) else []
    usage = message.usage_metadata if isinstance(message, AIMessage) else None
    return AIMessageChunk(content=message.content, tool_calls=calls, usage_metadata=usage, id=message.id)
