"""The local model as a LangChain chat model with tools."""

from __future__ import annotations

import uuid
from collections.abc import Callable, Iterator, Sequence
from typing import Any, Final

from langchain_core.callbacks import CallbackManagerForLLMRun
from langchain_core.language_models import BaseChatModel, LanguageModelInput
from langchain_core.messages import AIMessage, AIMessageChunk, BaseMessage, ToolCall, ToolMessage, convert_to_messages
from langchain_core.outputs import ChatGeneration, ChatGenerationChunk, ChatResult
from langchain_core.runnables import Runnable
from langchain_core.tools import BaseTool
from langchain_core.utils.function_calling import convert_to_openai_tool
from pydantic import ConfigDict, Field, SecretStr

from agents.gateway import wire
from agents.gateway.guarding import current
from agents.gateway.local import ensure_server
from agents.gateway.local_prompt import choosing, chosen, fitted, plain, schema_of
from agents.gateway.openai_chat import OpenAIChat

CONTEXT_TOKENS: Final = 4000
CHOICE_TOKENS: Final = 200


class LocalChatModel(BaseChatModel):
    """Answers in pieces. With tools it chooses first, bound by a schema; after a tool's result it answers in text,
    so a small model cannot call tools for ever.
    """

    model_config = ConfigDict(extra="forbid")

    temperature: float = Field(default=0.2, ge=0, le=2)
    max_tokens: int = Field(default=400, ge=1, le=2000)

    @property
    def _llm_type(self) -> str:
        return "mutirao-local-model"

    def bind_tools(
        self,
        tools: Sequence[dict[str, Any] | type | Callable[..., Any] | BaseTool],
        *,
        tool_choice: str | None = None,
        **kwargs: Any,
    ) -> Runnable[LanguageModelInput, AIMessage]:
        """The model with these tools on offer."""
        return self.bind(tools=[convert_to_openai_tool(tool) for tool in tools])

    def _generate(
        self,
        messages: list[BaseMessage],
        stop: list[str] | None = None,
        run_manager: CallbackManagerForLLMRun | None = None,
        **kwargs: Any,
    ) -> ChatResult:
        pieces = list(self._stream(messages, stop, run_manager, **kwargs))
        whole = sum((piece.message for piece in pieces[1:]), start=pieces[0].message)
        message = AIMessage(
            content=whole.content,
            tool_calls=getattr(whole, "tool_calls", []),
            usage_metadata=getattr(whole, "usage_metadata", None),
        )
        return ChatResult(generations=[ChatGeneration(message=message)])

    def _stream(
        self,
        messages: list[BaseMessage],
        stop: list[str] | None = None,
        run_manager: CallbackManagerForLLMRun | None = None,
        *,
        tools: Sequence[dict[str, Any]] = (),
        timeout: float | None = None,
        response_format: Any = None,
        **kwargs: Any,
    ) -> Iterator[ChatGenerationChunk]:
        client = self._client(timeout)
        limits: dict[str, Any] = {"timeout": timeout} if timeout is not None else {}
        if tools and not isinstance(messages[-1], ToolMessage):
            piece, is_call = self._choice(client, messages, tools, limits)
            yield piece
            if is_call:
                return
        asked = fitted(plain(messages), tokens=CONTEXT_TOKENS - self.max_tokens)
        if response_format is not None:
            limits["response_format"] = response_format
        yield from client._stream(_as_messages(asked), stop=stop, **limits)  # noqa: SLF001 (LangChain's hook)

    def _choice(
        self,
        client: OpenAIChat,
        messages: list[BaseMessage],
        tools: Sequence[dict[str, Any]],
        limits: dict[str, Any],
    ) -> tuple[ChatGenerationChunk, bool]:
        asked = fitted(choosing(messages, tools), tokens=CONTEXT_TOKENS - CHOICE_TOKENS)
        form = {"type": "json_schema", "json_schema": {"name": "choice", "schema": schema_of(tools)}}
        reply = client._generate(  # noqa: SLF001 (LangChain's hook)
            _as_messages(asked), response_format=form, temperature=0, max_tokens=CHOICE_TOKENS, **limits
        )
        message = reply.generations[0].message
        call = chosen(message.text, tools)
        calls = [ToolCall(name=call[0], args=call[1], id=f"call_{uuid.uuid4().hex}")] if call else []
        usage = getattr(message, "usage_metadata", None)
        said = AIMessageChunk(content="", tool_calls=calls, usage_metadata=usage)
        return ChatGenerationChunk(message=said), bool(call)

    def _client(self, timeout: float | None) -> OpenAIChat:
        guard = current()
        server = ensure_server(within=timeout if guard is None else guard.left())
        url = f"{server.url}/v1"
        return OpenAIChat(
            model="smollm2-135m",
            base_url=url,
            api_key=SecretStr(server.token or "none"),
            http_client=wire.client("local", url, is_entered=False),
            temperature=self.temperature,
            max_tokens=self.max_tokens,  # type: ignore[call-arg]  # an alias that its stubs do not know
            max_retries=0,
            stream_usage=True,
        ).without_environment()


def _as_messages(asked: Sequence[dict[str, str]]) -> list[BaseMessage]:
    return convert_to_messages(asked)
