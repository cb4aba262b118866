"""OpenAI's protocol, read more strictly and with less work than its own client does."""

from __future__ import annotations

import json
from collections.abc import Iterator
from contextlib import closing
from typing import Any, Final, Self

import httpx2 as httpx
import openai
import urllib3
from django.utils.translation import gettext as _
from langchain_core.callbacks import CallbackManagerForLLMRun
from langchain_core.language_models import LanguageModelInput
from langchain_core.messages import AIMessageChunk, BaseMessage
from langchain_core.outputs import ChatGenerationChunk, ChatResult
from langchain_openai import ChatOpenAI
from openai._models import FinalRequestOptions
from pydantic import PrivateAttr

from agents.definitions.validators import NOT_IN_THE_BODY
from agents.gateway import wire
from agents.gateway.events import data_of
from agents.gateway.exceptions import BrokenAnswer, ModelRejected
from agents.gateway.guarding import current

DONE: Final = b"[DONE]"
PATH: Final = "/chat/completions"
# Headers of requests that are made anew each time, or tell about this machine and serve nobody here.
_LEFT_OUT: Final = ("content-length", "x-stainless-")
# What is no part of the body; left to OpenAI's own client.
_FOR_CLIENT: Final = ("extra_headers", "extra_query")
EXTRA: Final = "extra_body"
# Where models of others than OpenAI think aloud (DeepSeek and vLLM; OpenRouter and Ollama); LangChain passes over it.
_THOUGHTS: Final = ("reasoning_content", "reasoning")
_SPOILT: Final = (KeyError, TypeError, IndexError, AttributeError, ValueError)


class OpenAIChat(ChatOpenAI):
    """ChatOpenAI whose chat completions go straight to `http_client`, as OpenAI's client would send them.

    Neither requests nor answers are made into that client's models first, which took most of the time. A stream has to
    come to a proper end: a finish reason, or `[DONE]`. Whatever cannot be read of an answer is a BrokenAnswer. The
    Responses API is left to LangChain.
    """

    _made: tuple[str, dict[str, str]] | None = PrivateAttr(default=None)

    def without_environment(self, *, organization: str | None = None) -> Self:
        """The same without what OpenAI's clients take from the environment by themselves (OPENAI_ORG_ID,
        OPENAI_PROJECT_ID, OPENAI_CUSTOM_HEADERS): that belongs to the operator's own account, and may be secret.
        """
        self.openai_organization = organization
        for client in (self.root_client, self.root_async_client):
            client.organization, client.project = organization, None
            client._custom_headers = dict(self.default_headers or {})  # noqa: SLF001 (nothing public clears them)
        return self

    def _addressed(self) -> tuple[str, dict[str, str]]:
        """Where requests go, and their headers, as OpenAI's client makes them; asked of it once."""
        if self._made is None:
            options = FinalRequestOptions.construct(
                method="post", url=PATH, json_data={}, security={"bearer_auth": True}
            )
            made = self.root_client._build_request(options)  # noqa: SLF001 (nothing public makes one)
            headers = {name: value for name, value in made.headers.items() if not name.startswith(_LEFT_OUT)}
            self._made = str(made.url), headers | {"accept-encoding": wire.ENCODINGS}
        return self._made

    @property
    def _llm_type(self) -> str:
        return "openai-chat"

    def _get_request_payload(
        self, input_: LanguageModelInput, *, stop: list[str] | None = None, **kwargs: Any
    ) -> dict[str, Any]:
        """Raises ModelRejected for an `extra_body` that would make another call of it: of another model, at its price.
        Whoever sends it adds its fields to the body.
        """
        payload: dict[str, Any] = super()._get_request_payload(input_, stop=stop, **kwargs)
        for name in NOT_IN_THE_BODY.intersection(payload.get(EXTRA) or ()):
            raise ModelRejected(_("“%(name)s” may not stand in “%(within)s”.") % {"name": name, "within": EXTRA})
        return payload

    def _generate(
        self,
        messages: list[BaseMessage],
        stop: list[str] | None = None,
        run_manager: CallbackManagerForLLMRun | None = None,
        **kwargs: Any,
    ) -> ChatResult:
        if self._is_for_client(kwargs):
            return super()._generate(messages, stop=stop, run_manager=run_manager, **kwargs)
        payload = self._get_request_payload(messages, stop=stop, **kwargs)
        with closing(self._sent(payload | {"stream": False})) as response:
            body = b"".join(wire.bounded(response, wire.LONGEST_ANSWER))
        try:
            result = self._create_chat_result(json.loads(body))
        except _SPOILT as error:
            raise BrokenAnswer from error
        if not result.generations:
            raise BrokenAnswer
        return result

    def _stream(self, *args: Any, **kwargs: Any) -> Iterator[ChatGenerationChunk]:
        if self._is_for_client(kwargs):
            return super()._stream(*args, **kwargs)
        return self._chat_stream(*args, **kwargs)

    def _is_for_client(self, kwargs: dict[str, Any]) -> bool:
        given = {**kwargs, **self.model_kwargs}
        return (
            bool(self.include_response_headers)
            or any(name in given for name in _FOR_CLIENT)
            or isinstance(kwargs.get("response_format"), type)
            or self._use_responses_api(given)
        )

    def _chat_stream(
        self,
        messages: list[BaseMessage],
        stop: list[str] | None = None,
        run_manager: CallbackManagerForLLMRun | None = None,
        *,
        stream_usage: bool | None = None,
        **kwargs: Any,
    ) -> Iterator[ChatGenerationChunk]:
        if self._should_stream_usage(stream_usage, **kwargs):
            kwargs["stream_options"] = {"include_usage": True}
        payload = self._get_request_payload(messages, stop=stop, **kwargs)
        with closing(self._sent(payload | {"stream": True})) as response:
            for piece in self._pieces(response):
                if run_manager:
                    run_manager.on_llm_new_token(piece.text, chunk=piece)
                yield piece

    def _sent(self, payload: dict[str, Any]) -> urllib3.BaseHTTPResponse:
        """The answer, of which nothing is read yet. Raises openai.APIStatusError, httpx.TransportError."""
        seconds = payload.pop("timeout", None) or wire.SECONDS
        extra = payload.pop(EXTRA, None) or {}
        url, headers = self._addressed()
        client: wire.Client = self.http_client  # type: ignore[assignment]  # Any | None in LangChain
        body = json.dumps({**payload, **extra}, ensure_ascii=False).encode()
        response = client.channel.send("POST", url, headers=headers, body=body, seconds=seconds)
        if response.status < 300:
            return response
        with closing(response):
            refusal = httpx.Response(
                response.status, headers=wire.headers_of(response), request=httpx.Request("POST", url),
                content=b"".join(wire.bounded(response, wire.LONGEST_REFUSAL, cut=True)),
            )  # fmt: skip
        raise self.root_client._make_status_error_from_response(refusal)  # noqa: SLF001 (as its client raises them)

    def _pieces(self, response: urllib3.BaseHTTPResponse) -> Iterator[ChatGenerationChunk]:
        is_finished = has_begun = False
        events = data_of(wire.bounded(response, wire.LONGEST_STREAM))
        for data in events:
            if data == DONE:
                # Some servers give no reason.
                is_finished = is_finished or has_begun
                _read_to_the_end(events)
                break
            chunk = _chunk(data, self._addressed()[0])
            has_begun = has_begun or bool(chunk.get("choices"))
            piece = self._piece(chunk)
            if piece is not None:
                is_finished = is_finished or bool((piece.generation_info or {}).get("finish_reason"))
                yield piece
        if not is_finished:
            raise BrokenAnswer("The answer broke off.")

    def _piece(self, chunk: dict[str, Any]) -> ChatGenerationChunk | None:
        try:
            _note_thoughts(chunk)
            return self._convert_chunk_to_generation_chunk(chunk, AIMessageChunk, None)
        except _SPOILT as error:
            raise BrokenAnswer from error


def _note_thoughts(chunk: dict[str, Any]) -> None:
    """A model that thinks aloud is at work: nothing of it is passed on, but it is not late."""
    guard = current()
    if guard is None:
        return
    for choice in chunk.get("choices") or ():
        delta = choice.get("delta") or {}
        if any(delta.get(name) for name in _THOUGHTS):
            guard.progress()


def _chunk(data: bytes, url: str) -> dict[str, Any]:
    """One event's object. Raises BrokenAnswer, or the error that it is."""
    try:
        found = json.loads(data)
    except ValueError as error:
        raise BrokenAnswer from error
    if not isinstance(found, dict):
        raise BrokenAnswer
    if found.get("error"):
        raise _error_inside(found["error"], url)
    return found


def _error_inside(said: Any, url: str) -> openai.APIError:
    """An error where a piece should be; some servers put a status into it."""
    body = said if isinstance(said, dict) else {"message": str(said)}
    message = str(body.get("message") or "An error inside the stream.")
    error = openai.APIError(message, httpx.Request("POST", url), body=body)
    if isinstance(body.get("code"), int):
        error.status_code = body["code"]  # type: ignore[attr-defined]  # as those have that come with a status
    return error


def _read_to_the_end(events: Iterator[bytes]) -> None:
    """So that the connection can be used again; whatever happens now, the answer is there."""
    guard = current()
    if guard is not None:
        guard.ending()
    try:
        for _event in events:
            pass
    except Exception:  # noqa: S110 (all that it means is one more connection)
        pass
