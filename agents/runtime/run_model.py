"""A chat model for graphs that are built before the run whose model it will be."""

from __future__ import annotations

from collections.abc import AsyncIterator, Iterator, Mapping
from typing import Any

from langchain_core.language_models import LanguageModelInput
from langchain_core.runnables import Runnable, RunnableConfig

from agents.runtime.run import current_run

_Binding = tuple[str, tuple[Any, ...], dict[str, Any]]


class RunModel(Runnable[LanguageModelInput, Any]):
    """Stands in a shared graph for the model of whichever run passes through it.

    It is found at every call, so nothing of one task (its limits, its account) can reach another. Tools and
    output schemas are bound then too, in the model's own way. Outside a run, calls raise NoRun.
    """

    def __init__(
        self,
        name: str = "",
        parameters: Mapping[str, Any] | None = None,
        *,
        bindings: tuple[_Binding, ...] = (),
    ) -> None:
        self.model_name = name
        self.parameters = dict(parameters or {})
        self._bindings = bindings

    def bind_tools(self, *args: Any, **kwargs: Any) -> RunModel:
        """As BaseChatModel.bind_tools."""
        return self._bound("bind_tools", args, kwargs)

    def with_structured_output(self, *args: Any, **kwargs: Any) -> RunModel:
        """As BaseChatModel.with_structured_output."""
        return self._bound("with_structured_output", args, kwargs)

    def invoke(
        self,
        input: LanguageModelInput,  # noqa: A002
        config: RunnableConfig | None = None,
        **kwargs: Any,
    ) -> Any:
        """Calls the run's model."""
        return self._found().invoke(input, config, **kwargs)

    async def ainvoke(
        self,
        input: LanguageModelInput,  # noqa: A002
        config: RunnableConfig | None = None,
        **kwargs: Any,
    ) -> Any:
        """Calls the run's model."""
        return await self._found().ainvoke(input, config, **kwargs)

    def stream(
        self,
        input: LanguageModelInput,  # noqa: A002
        config: RunnableConfig | None = None,
        **kwargs: Any | None,
    ) -> Iterator[Any]:
        """Streams from the run's model."""
        yield from self._found().stream(input, config, **kwargs)

    async def astream(
        self,
        input: LanguageModelInput,  # noqa: A002
        config: RunnableConfig | None = None,
        **kwargs: Any | None,
    ) -> AsyncIterator[Any]:
        """Streams from the run's model."""
        async for piece in self._found().astream(input, config, **kwargs):
            yield piece

    def _bound(self, method: str, args: tuple[Any, ...], kwargs: dict[str, Any]) -> RunModel:
        return RunModel(self.model_name, self.parameters, bindings=(*self._bindings, (method, args, kwargs)))

    def _found(self) -> Runnable[LanguageModelInput, Any]:
        found: Runnable[LanguageModelInput, Any] = current_run().model(self.model_name, self.parameters)
        for method, args, kwargs in self._bindings:
            found = getattr(found, method)(*args, **kwargs)
        return found
