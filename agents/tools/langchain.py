"""Tools as LangChain wants them. LangChain is imported when the first agent is built, never at start-up."""

from __future__ import annotations

import functools
import inspect
import json
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from contextvars import ContextVar
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

import structlog
from asgiref.sync import async_to_sync
from django.db import close_old_connections

from agents.definitions.definition import Tool
from agents.gateway.exceptions import LimitReached
from agents.tasks.exceptions import LeaseLost
from agents.tools import ledger, registry
from agents.tools.context import RunContext, calling, current_run
from agents.tools.traits import Traits, traits_of
from telemetry.masking import MASK

if TYPE_CHECKING:
    from langchain_core.tools import BaseTool

logger = structlog.get_logger(__name__)

MOST_ERROR_CHARACTERS = 2_000
# The run itself has to end with these; a model that is told about them would only go on.
ENDS_THE_RUN: tuple[type[Exception], ...] = (LeaseLost, LimitReached)

Errors = tuple[type[Exception], ...]
Function = Callable[..., Any]

# The model's id of the call that is being made, from where LangChain knows it to where the tool is called.
_call_id: ContextVar[str | None] = ContextVar("mutirao_langchain_call", default=None)


def build_tools(names: Sequence[str], callables: Mapping[str, Tool], *, passing: Errors = ()) -> list[BaseTool]:
    """The tools of an agent, in this order: its own `callables` first asked, then the registry. Raises
    UnknownTool.

    What a tool raises becomes a tool message with status "error" that the model can act on, except `passing`:
    what the runtime uses to steer a graph, such as LangGraph's interrupts. In a task, calls of tools with effects go
    through the ledger.
    """
    return [_build(name, callables.get(name) or registry.get(name), passing) for name in names]


def _build(name: str, tool: Tool, passing: Errors) -> BaseTool:
    from langchain_core.tools import BaseTool, StructuredTool

    if isinstance(tool, BaseTool):
        return _guarded_tool(tool, traits_of(tool), passing)
    function: Function = tool  # type: ignore[assignment]
    registry.check_function(name, function)
    documentation = inspect.getdoc(function) or ""
    describes_arguments = "\nArgs:" in documentation
    built = StructuredTool.from_function(
        function,
        name=name,
        # With arguments described one by one LangChain takes the docstring apart itself.
        description=None if describes_arguments else documentation,
        parse_docstring=describes_arguments,
    )
    return _guarded_tool(built, traits_of(function), passing)


def _guarded_tool(tool: BaseTool, traits: Traits, passing: Errors) -> BaseTool:
    from langchain_core.tools import StructuredTool

    changes: dict[str, Any] = {
        "handle_tool_error": tool.handle_tool_error or True,
        "handle_validation_error": tool.handle_validation_error or True,
    }
    guard = _Guard(tool, traits, passing)
    if isinstance(tool, StructuredTool):
        function = tool.func or (async_to_sync(tool.coroutine) if tool.coroutine else None)
        changes["func"] = guard.around(function) if function else None
    guarded = tool.model_copy(update=changes)
    if not isinstance(tool, StructuredTool):
        # A class of somebody's own: its method is what is called. Not a field, so not in `changes`.
        object.__setattr__(guarded, "_run", guard.around(guarded._run))  # noqa: SLF001 (LangChain's hook)
    object.__setattr__(guarded, "run", _noting_call_id(guarded.run))
    return guarded


def _noting_call_id(run: Function) -> Function:
    """`BaseTool.run` is given the id and tells only tools that ask for it."""

    @functools.wraps(run)
    def noted(*args: Any, tool_call_id: str | None = None, **kwargs: Any) -> Any:
        token = _call_id.set(tool_call_id)
        try:
            return run(*args, tool_call_id=tool_call_id, **kwargs)
        finally:
            _call_id.reset(token)

    return noted


@dataclass(frozen=True)
class _Guard:
    """What stands around one tool."""

    tool: BaseTool
    traits: Traits
    passing: Errors

    def around(self, function: Function) -> Function:
        """The same function: errors are told to the model, and what has been done is not done again."""
        call = async_to_sync(function) if inspect.iscoroutinefunction(function) else function

        @functools.wraps(function)
        def guarded(*args: Any, **kwargs: Any) -> Any:
            try:
                return self._call(call, args, kwargs)
            finally:
                # Tools run in threads of LangGraph's, where nobody else gives a connection back.
                close_old_connections()

        return guarded

    def _call(self, call: Function, args: tuple[Any, ...], kwargs: dict[str, Any]) -> Any:
        run = current_run()
        traits = self._traits_in(run)
        if run is None or not traits.is_recorded:
            with self._errors_told():
                return call(*args, **kwargs)
        return self._recorded(run, traits, call, args, kwargs)

    def _traits_in(self, run: RunContext | None) -> Traits:
        if run is not None and self.tool.name in run.approve:
            return replace(self.traits, needs_approval=True)
        return self.traits

    def _recorded(
        self, run: RunContext, traits: Traits, call: Function, args: tuple[Any, ...], kwargs: dict[str, Any]
    ) -> Any:
        from langchain_core.tools import ToolException

        step = ledger.begin(run, self._asked(run, traits, args, kwargs))
        run.release()
        if isinstance(step, ledger.Done):
            return self._given_again(step.result)
        if isinstance(step, ledger.Denied):
            raise ToolException(step.message)
        if step.edited is not None:
            kwargs = self._edited(kwargs, step.edited)
        with calling(step.call_id), self._outcome_noted(run, step.call_id), self._errors_told():
            result = call(*args, **kwargs)
        ledger.succeed(run, step.call_id, self._kept(result))
        return result

    @contextmanager
    def _outcome_noted(self, run: RunContext, call_id: Any) -> Iterator[None]:
        """What is no Exception (the run is told to stop) leaves the row as it is: nobody knows how far the tool came.
        So does a lost lease, which could not write anyway.
        """
        try:
            yield
        except LeaseLost:
            raise
        except Exception as error:
            if isinstance(error, self.passing):
                ledger.stop(run, call_id)
            else:
                ledger.fail(run, call_id, str(error))
            raise

    @contextmanager
    def _errors_told(self) -> Iterator[None]:
        from langchain_core.tools import ToolException

        through: Errors = (ToolException, *ENDS_THE_RUN, *self.passing)
        try:
            yield
        except through:
            raise
        except Exception as error:
            logger.info("tools.failed", tool=self.tool.name, error_type=type(error).__name__, exc_info=True)
            raise ToolException(_sentence(error)) from error

    def _asked(self, run: RunContext, traits: Traits, args: tuple[Any, ...], kwargs: Mapping[str, Any]) -> ledger.Asked:
        arguments = self._arguments(args, kwargs)
        subject = json.dumps([self.tool.name, arguments], sort_keys=True, default=str)
        return ledger.Asked(
            key=run.key_of(subject, call_id=_call_id.get()),
            name=self.tool.name,
            arguments=arguments,
            traits=traits,
            description=self.tool.description if traits.needs_approval else "",
            schema=self._schema if traits.needs_approval else {},
        )

    def _arguments(self, args: tuple[Any, ...], kwargs: Mapping[str, Any]) -> dict[str, Any]:
        """As a model would give them: without what LangChain and LangGraph put in."""
        known = self._schema.get("properties", {})
        found = {name: _plain(value) for name, value in kwargs.items() if name in known}
        return found | ({"": [_plain(value) for value in args]} if args else {})

    @functools.cached_property
    def _schema(self) -> dict[str, Any]:
        # A dict, or a model of pydantic's, whichever version.
        schema: Any = self.tool.tool_call_schema
        described: dict[str, Any] = schema if isinstance(schema, dict) else schema.model_json_schema()
        return described

    def _edited(self, kwargs: Mapping[str, Any], edited: Mapping[str, Any]) -> dict[str, Any]:
        """The call with a person's arguments, of the types that the tool wants; what was masked stays as it was."""
        known = self._schema.get("properties", {})
        injected = {name: value for name, value in kwargs.items() if name not in known}
        given = {name: _unmasked(value, kwargs.get(name)) for name, value in edited.items()}
        schema: Any = self.tool.tool_call_schema
        if isinstance(schema, dict):
            return injected | given
        read = schema.model_validate(given)
        return injected | {name: getattr(read, name) for name in given}

    def _kept(self, result: Any) -> str | None:
        """The result as JSON text, from which it can be given again; None where that cannot be."""
        from langchain_core.messages.tool import ToolOutputMixin

        if isinstance(result, ToolOutputMixin):
            # A command to the graph, or a message of the tool's own making.
            return None
        try:
            text = json.dumps(result)
            if json.loads(text) == result or self._has_artifact(result):
                return text
        except (TypeError, ValueError, RecursionError):
            pass
        # In an answer to a model it is text anyway.
        return json.dumps(_as_text(result)) if _call_id.get() and not self._has_artifact(result) else None

    def _has_artifact(self, result: Any) -> bool:
        return self.tool.response_format == "content_and_artifact" and isinstance(result, tuple)

    def _given_again(self, result: Any) -> Any:
        is_pair = self.tool.response_format == "content_and_artifact" and isinstance(result, list)
        return tuple(result) if is_pair else result


def _as_text(result: Any) -> str:
    """As LangChain writes what is no text."""
    try:
        return json.dumps(result, ensure_ascii=False)
    except (TypeError, ValueError, RecursionError):
        return str(result)


def _plain(value: Any) -> Any:
    dump = getattr(value, "model_dump", None)
    return dump(mode="json") if callable(dump) and not isinstance(value, type) else value


def _unmasked(value: Any, original: Any) -> Any:
    """What a person left as it was shown, masked, is what it stands for."""
    if value == MASK:
        return original
    original = _plain(original)
    if isinstance(value, dict) and isinstance(original, dict):
        return {name: _unmasked(each, original.get(name)) for name, each in value.items()}
    if isinstance(value, list) and isinstance(original, list) and len(value) == len(original):
        return [_unmasked(each, before) for each, before in zip(value, original, strict=True)]
    return value


def _sentence(error: Exception) -> str:
    return f"{type(error).__name__}: {error}"[:MOST_ERROR_CHARACTERS]
