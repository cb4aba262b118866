"""Tools by name: plain functions that any agent, also one made in the admin, may be given.

    @register_tool(effects="none")
    def shipping_days(country: str) -> int:
        \"\"\"How many days a parcel takes to a country.\"\"\"

The docstring and the annotations are what the model is told. A function listed in the `tools` of an agent's
class need not be registered: it is that agent's own. What `effects` means is said in `agents.tools.traits`.
"""

from __future__ import annotations

import inspect
import re
from collections.abc import Callable
from typing import Any, TypeVar, overload

from agents.definitions import registry as definitions
from agents.tools.exceptions import InvalidTool, UnknownTool
from agents.tools.traits import declare

Function = TypeVar("Function", bound=Callable[..., Any])

# What every provider accepts as the name of a function.
NAME = re.compile(r"[a-zA-Z_][a-zA-Z0-9_-]{0,63}")

_tools: dict[str, Callable[..., Any]] = {}


@overload
def register_tool(function: Function, /) -> Function: ...
@overload
def register_tool(
    *, name: str | None = None, effects: str | None = None, needs_approval: bool | None = None
) -> Callable[[Function], Function]: ...
def register_tool(
    function: Function | None = None,
    /,
    *,
    name: str | None = None,
    effects: str | None = None,
    needs_approval: bool | None = None,
) -> Any:
    """Decorator: makes the function known under `name`, or its own. Raises InvalidTool.

    A function has a docstring and annotated parameters, and a name of its own; registering it twice is no
    error. `effects` ("none", "idempotent", or "once", which is assumed) and `needs_approval` are as in `declare`.
    """

    def decorate(subject: Function) -> Function:
        if effects is not None or needs_approval is not None:
            declare(effects=effects or "once", needs_approval=bool(needs_approval))(subject)
        _register(name or subject.__name__, subject)
        return subject

    return decorate if function is None else decorate(function)


def unregister(name: str) -> None:
    """Forgets the tool (for tests); no error when it is not known."""
    _tools.pop(name, None)


def get(name: str) -> Callable[..., Any]:
    """The function. Raises UnknownTool."""
    if name not in _tools:
        # Apps register tools in their module `agents`, which nobody may have imported yet.
        definitions.load()
    try:
        return _tools[name]
    except KeyError:
        raise UnknownTool(f"No tool of the name {name!r} is installed.") from None


def names() -> list[str]:
    """Every tool an agent may be given, by name."""
    definitions.load()
    return sorted(_tools)


def check_function(name: str, function: Callable[..., Any]) -> None:
    """Raises InvalidTool when a model could not be told how to call it."""
    if not NAME.fullmatch(name):
        raise InvalidTool(f"{name!r} is no name for a tool: letters, digits, _ and -, at most 64.")
    if not inspect.getdoc(function):
        raise InvalidTool(f"The tool {name!r} needs a docstring; the model reads it.")
    for parameter in inspect.signature(function).parameters.values():
        if parameter.kind in {parameter.VAR_POSITIONAL, parameter.VAR_KEYWORD, parameter.POSITIONAL_ONLY}:
            raise InvalidTool(f"The tool {name!r} cannot take {parameter}: a model calls it by keywords it knows.")
        if parameter.annotation is parameter.empty:
            raise InvalidTool(f"The parameter {parameter.name!r} of the tool {name!r} needs an annotation.")


def _register(name: str, function: Callable[..., Any]) -> None:
    check_function(name, function)
    known = _tools.get(name)
    if known is not None and _address(known) != _address(function):
        raise InvalidTool(f"{_address(function)} and {_address(known)} both are the tool {name!r}.")
    _tools[name] = function


def _address(function: Callable[..., Any]) -> str:
    return f"{function.__module__}.{function.__qualname__}"
