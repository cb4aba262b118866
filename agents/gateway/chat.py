"""Every call to a language model goes through here.

LangChain's own cache hook is switched off: it is not consulted by `stream()`.
"""

from __future__ import annotations

import json
import time
from collections.abc import AsyncGenerator, AsyncIterator, Callable, Generator, Iterator, Mapping, Sequence
from contextlib import ExitStack
from functools import cached_property
from typing import Any

from langchain_core.callbacks import AsyncCallbackManagerForLLMRun, CallbackManagerForLLMRun
from langchain_core.language_models import BaseChatModel, LanguageModelInput
from langchain_core.language_models._compat_bridge import achunks_to_events, chunks_to_events
from langchain_core.language_models.base import LangSmithParams
from langchain_core.messages import AIMessage, BaseMessage
from langchain_core.outputs import ChatGeneration, ChatGenerationChunk, ChatResult
from langchain_core.runnables import Runnable
from langchain_core.tools import BaseTool
from langchain_core.utils.function_calling import convert_to_openai_tool
from pydantic import BaseModel, ConfigDict, Field, model_validator

from agents.gateway import bridging, restarts, routing, structured
from agents.gateway.answers import CallNotes, ModelRequest, through
from agents.gateway.bridging import Piece
from agents.gateway.building import model_of
from agents.gateway.calling import Call
from agents.gateway.data import CallContext
from agents.gateway.exceptions import CostLimitReached, ModelRejected, ModelTimeout, TokenLimitReached
from agents.gateway.guarding import Leaving
from agents.gateway.providers import describe, route_name, validate_model_name
from agents.gateway.recording import Recording, characters_of, record_missed
from agents.gateway.routing import RouteData
from foundation.threads import release_connections
from telemetry.spans import current_trace_id, span


def chat_model(model: str, *, parameters: Mapping[str, Any], context: CallContext) -> GatewayChatModel:
    """The model of this name (`provider:model`, or `route:NAME`) for one run; raises GatewayError when there is none.

    Its calls are bounded in time, tried again and elsewhere, counted and recorded. They raise GatewayError.
    """
    if not route_name(model):
        validate_model_name(model)
    made = GatewayChatModel(target=model, parameters=dict(parameters), context=context)
    made.check()
    return made


class GatewayChatModel(BaseChatModel):
    """One chat model over all providers, under the gateway's rules.

    Tools and schemas are kept in OpenAI's form until a deployment is tried. A stream may hold a piece that says that
    the answer begins anew (agents.gateway.restarts); pieces that are added together hold only what came after it.
    """

    model_config = ConfigDict(arbitrary_types_allowed=True, protected_namespaces=(), ignored_types=(cached_property,))

    target: str
    parameters: dict[str, Any] = Field(default_factory=dict)
    context: CallContext = Field(default_factory=CallContext, repr=False, exclude=True)
    cache: bool = False

    @model_validator(mode="before")
    @classmethod
    def _gather(cls, given: Any) -> Any:
        """Whatever is no field of ours is a parameter of the model (`temperature=0`)."""
        if not isinstance(given, dict):
            return given
        own = {name: value for name, value in given.items() if name in cls.model_fields}
        rest = {name: value for name, value in given.items() if name not in cls.model_fields}
        return own if not rest else {**own, "parameters": {**own.get("parameters", {}), **rest}}

    @cached_property
    def _parameters_json(self) -> str:
        return json.dumps(self.parameters, sort_keys=True)

    @property
    def _llm_type(self) -> str:
        return "mutirao-gateway"

    @property
    def _identifying_params(self) -> Mapping[str, Any]:
        return {"model": self.target, **self.parameters}

    def _get_ls_params(self, stop: list[str] | None = None, **kwargs: Any) -> LangSmithParams:
        provider, _colon, model = self.target.partition(":")
        params = super()._get_ls_params(stop=stop or self.parameters.get("stop"), **kwargs)
        params |= LangSmithParams(ls_provider=provider, ls_model_name=kwargs.get("model") or model)
        if isinstance(temperature := kwargs.get("temperature", self.parameters.get("temperature")), int | float):
            params["ls_temperature"] = temperature
        if isinstance(most := kwargs.get("max_tokens", self.parameters.get("max_tokens")), int):
            params["ls_max_tokens"] = most
        return params

    def check(self) -> None:
        """Raises GatewayError when no call could ever be made: no such route, no key, wrong parameters. In a running
        event loop the database is not asked: the call will say so.
        """
        if not route_name(self.target):
            model_of(routing.find(self.target).deployments[0], self._parameters_json)
        elif not bridging.is_in_loop():
            routing.find(self.target)

    def bind_tools(
        self,
        tools: Sequence[dict[str, Any] | type | Callable[..., Any] | BaseTool],
        *,
        tool_choice: Any = None,
        strict: bool | None = None,
        **kwargs: Any,
    ) -> Runnable[LanguageModelInput, AIMessage]:
        """The model with these tools on offer; `tool_choice` is a tool's name, `auto`, `any`, `none`, or as OpenAI has
        it.
        """
        said = {"tool_choice": tool_choice, "strict": strict}
        return self.bind(
            tools=[convert_to_openai_tool(tool, strict=strict) for tool in tools],
            **{name: value for name, value in said.items() if value is not None},
            **kwargs,
        )

    def with_structured_output(
        self,
        schema: dict[str, Any] | type,
        *,
        method: str = "function_calling",
        include_raw: bool = False,
        strict: bool | None = None,
        **kwargs: Any,
    ) -> Runnable[LanguageModelInput, dict[str, Any] | BaseModel]:
        """The model whose answers have this form; `method` is function_calling (works everywhere), json_schema or
        json_mode.
        """
        return structured.formed(self, schema, method=method, include_raw=include_raw, strict=strict, **kwargs)

    def _generate(
        self,
        messages: list[BaseMessage],
        stop: list[str] | None = None,
        run_manager: CallbackManagerForLLMRun | None = None,
        **kwargs: Any,
    ) -> ChatResult:
        return _result(list(self._answer(messages, _options(stop, kwargs), streamed=False)))

    def _stream(
        self,
        messages: list[BaseMessage],
        stop: list[str] | None = None,
        run_manager: CallbackManagerForLLMRun | None = None,
        **kwargs: Any,
    ) -> Iterator[ChatGenerationChunk]:
        return self._pieces(messages, _options(stop, kwargs))

    async def _agenerate(
        self,
        messages: list[BaseMessage],
        stop: list[str] | None = None,
        run_manager: AsyncCallbackManagerForLLMRun | None = None,
        **kwargs: Any,
    ) -> ChatResult:
        options, leaving, began = _options(stop, kwargs), Leaving(self.context.check), time.monotonic()
        pieces = self._in_thread(
            lambda: self._answer(messages, options, streamed=False, leaving=leaving, begun=began),
            messages, leaving, began,
        )  # fmt: skip
        return _result([piece async for piece in pieces])

    async def _astream(
        self,
        messages: list[BaseMessage],
        stop: list[str] | None = None,
        run_manager: AsyncCallbackManagerForLLMRun | None = None,
        **kwargs: Any,
    ) -> AsyncIterator[ChatGenerationChunk]:
        options, leaving, began = _options(stop, kwargs), Leaving(self.context.check), time.monotonic()
        pieces = self._in_thread(
            lambda: self._pieces(messages, options, leaving=leaving, begun=began), messages, leaving, began
        )
        try:
            async for piece in pieces:
                yield piece
        finally:
            await pieces.aclose()

    def _in_thread(
        self, start: Callable[[], Generator[Piece, None, None]], messages: list[BaseMessage], leaving: Leaving,
        began: float,
    ) -> AsyncGenerator[Piece, None]:  # fmt: skip
        def missed(error: ModelTimeout) -> None:
            waited = time.monotonic() - began
            record_missed(self.target, self.context, characters_of(messages), waited=waited, error=error)

        return bridging.in_thread(
            start, leaving, ends=lambda: self._ends(routing.find(self.target), began), missed=missed
        )

    # LangChain's protocol of events knows no restart: an answer that has begun is not begun anew.

    def _stream_chat_model_events(self, messages: list[BaseMessage], **kwargs: Any) -> Iterator[Any]:
        return chunks_to_events(self._stream(messages, **kwargs, mutirao_restarts=False), message_id=_id_of(kwargs))

    def _astream_chat_model_events(self, messages: list[BaseMessage], **kwargs: Any) -> AsyncIterator[Any]:
        return achunks_to_events(self._astream(messages, **kwargs, mutirao_restarts=False), message_id=_id_of(kwargs))

    def _pieces(
        self, messages: list[BaseMessage], options: dict[str, Any], *, leaving: Leaving | None = None,
        begun: float | None = None,
    ) -> Generator[ChatGenerationChunk, None, None]:  # fmt: skip
        is_first = True
        for piece in self._answer(messages, options, streamed=True, leaving=leaving, begun=begun):
            if is_first or not isinstance(piece, ChatGenerationChunk):
                is_first = False
                yield restarts.first(piece)
            else:
                yield piece

    def _answer(
        self, messages: list[BaseMessage], options: dict[str, Any], *, streamed: bool, leaving: Leaving | None = None,
        begun: float | None = None,
    ) -> Generator[ChatGeneration, None, None]:  # fmt: skip
        """The call: limits, then whatever answers, in the record from its beginning to its end."""
        self._refuse_beyond_limit()
        target = self._target_of(options)
        route = routing.find(target)
        ends = self._ends(route, time.monotonic() if begun is None else begun)
        context, may_restart = self.context, options.pop("mutirao_restarts", True)
        with ExitStack() as stack:
            if current_trace_id():
                stack.enter_context(span("model", target))
            recording = Recording(target, context, characters_of(messages))
            notes = CallNotes(call_id=recording.call_id)
            leaving = leaving or Leaving(context.check)
            request = ModelRequest(
                target, self.parameters, messages, options, streamed, context, ends, leaving.look, may_restart
            )
            call = Call(
                request, route, self._parameters_json, recording, notes, ends=ends, leaving=leaving,
                may_restart=may_restart,
            )  # fmt: skip
            try:
                for piece in through(request, call.pieces, notes):
                    recording.began()
                    yield piece
            except BaseException as error:
                _finish(recording, error, notes)
                raise
            _finish(recording, None, notes)

    def _ends(self, route: RouteData, begun: float) -> float:
        """When a call is over that has begun then (time.monotonic() seconds)."""
        ends = begun + route.deadline
        return ends if self.context.deadline is None else min(ends, self.context.deadline)

    def _target_of(self, options: dict[str, Any]) -> str:
        """Another model may be named for one call (`model="gpt-4o"`), though not in the place of a route."""
        wanted = options.pop("model", None)
        if not wanted:
            return self.target
        if route_name(self.target) or not isinstance(wanted, str):
            raise ModelRejected("The models of a route are named in the route.")
        target = wanted if ":" in wanted else f"{describe(self.target)[0]}:{wanted}"
        validate_model_name(target)
        return target

    def _refuse_beyond_limit(self) -> None:
        spent, context = self.context.total, self.context
        if context.token_limit is not None and spent.input_tokens + spent.output_tokens >= context.token_limit:
            raise TokenLimitReached
        if context.cost_limit is not None and spent.cost >= context.cost_limit:
            raise CostLimitReached


def _finish(recording: Recording, error: BaseException | None, notes: CallNotes) -> None:
    recording.finish(error, notes)
    release_connections()


def _options(stop: list[str] | None, kwargs: dict[str, Any]) -> dict[str, Any]:
    options = {name: value for name, value in kwargs.items() if name != "stream"}
    return options if stop is None else {**options, "stop": stop}


def _result(pieces: list[ChatGeneration]) -> ChatResult:
    answer = pieces[-1]
    return ChatResult(generations=[ChatGeneration(message=answer.message, generation_info=answer.generation_info)])


def _id_of(kwargs: Mapping[str, Any]) -> str | None:
    manager = kwargs.get("run_manager")
    return f"lc_run-{manager.run_id}" if manager else None
