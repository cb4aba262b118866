"""Tools as LangChain wants them. LangChain is imported when the first agent is built, never at start-up."""

from __future__ import annotations

import functools
import inspect
from collections.abc import Callable, Mapping, Sequence
from typing import TYPE_CHECKING, Any

import structlog
from asgiref.sync import async_to_sync
from django.db import close_old_connections

from agents.definitions.definition import Tool
from agents.gateway.exceptions import LimitReached
from agents.tasks.exceptions import LeaseLost
from agents.tools import registry

if TYPE_CHECKING:
    from langchain_core.tools import BaseTool

logger = structlog.get_logger(__name__)

MOST_ERROR_CHARACTERS = 2_000
# The run itself has to end with these; a model that is told about them would only go on.
ENDS_THE_RUN: tuple[type[Exception], ...] = (LeaseLost, LimitReached)


def build_tools(
    names: Sequence[str], callables: Mapping[str, Tool], *, passing: tuple[type[Exception], ...] = ()
) -> list[BaseTool]:
    """The tools of an agent, in this order: its own `callables` first asked, then the registry. Raises
    UnknownTool.

    What a tool raises becomes a tool message with status "error" that the model can act on, except `passing`:
    what the runtime uses to steer a graph, such as LangGraph's interrupts.
    """
    return [_build(name, callables.get(name) or registry.get(name), (*ENDS_THE_RUN, *passing)) for name in names]


def _build(name: str, tool: Tool, passing: tuple[type[Exception], ...]) -> BaseTool:
    from langchain_core.tools import BaseTool, StructuredTool

    if isinstance(tool, BaseTool):
        return _guarded_tool(tool, passing)
    function: Callable[..., Any] = tool  # type: ignore[assignment]
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
    return _guarded_tool(built, passing)


def _guarded_tool(tool: BaseTool, passing: tuple[type[Exception], ...]) -> BaseTool:
    from langchain_core.tools import StructuredTool

    changes: dict[str, Any] = {
        "handle_tool_error": tool.handle_tool_error or True,
        "handle_validation_error": tool.handle_validation_error or True,
    }
    if isinstance(tool, StructuredTool):
        function = tool.func or (async_to_sync(tool.coroutine) if tool.coroutine else None)
        changes["func"] = _guarded(tool.name, function, passing) if function else None
    return tool.model_copy(update=changes)


def _guarded(name: str, function: Callable[..., Any], passing: tuple[type[Exception], ...]) -> Callable[..., Any]:
    from langchain_core.tools import ToolException

    through: tuple[type[Exception], ...] = (ToolException, *passing)
    call = async_to_sync(function) if inspect.iscoroutinefunction(function) else function

    @functools.wraps(function)
    def guarded(*args: Any, **kwargs: Any) -> Any:
        try:
            return call(*args, **kwargs)
        except through:
            raise
        except Exception as error:
            logger.info("tools.failed", tool=name, error_type=type(error).__name__, exc_info=True)
            raise ToolException(_sentence(error)) from error
        finally:
            # Tools run in threads of LangGraph's, where nobody else gives a connection back.
            close_old_connections()

    return guarded


def _sentence(error: Exception) -> str:
    return f"{type(error).__name__}: {error}"[:MOST_ERROR_CHARACTERS]
