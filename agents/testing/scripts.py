"""Scripted models by name: the provider `scripted`."""

from __future__ import annotations

import uuid
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from typing import Any

from langchain_core.language_models import BaseChatModel

from agents.gateway import exceptions as gateway
from agents.testing.model import Reply, Request, ScriptedChatModel

_named: dict[str, BaseChatModel] = {}
_ERRORS: dict[str, Callable[[], Exception]] = {
    "unavailable": lambda: gateway.ModelUnavailable("The scripted model fails, as it was told to."),
    "timeout": gateway.ModelTimeout,
    "rate-limited": lambda: gateway.ModelRateLimited(retry_after=1),
    "rejected": gateway.ModelRejected,
    "unauthorized": gateway.ModelUnauthorized,
    "crash": lambda: RuntimeError("The scripted model crashes, as it was told to."),
}


def scripted_chat_model(name: str, parameters: Mapping[str, Any] | None = None, **more: Any) -> BaseChatModel:
    """The model `scripted:<name>`. Raises InvalidModelName for any other name than these,
    whose parameters can be given as a mapping or by keyword:

    - echo: says what the person said.
    - tools: calls every tool it is offered once (`args` by tool), then says what they answered.
    - slow: says `pieces` words (20), one every `delay` seconds (0.1).
    - fail: says `text` after `delay` seconds (0), raises `error`: unavailable, timeout, rate-limited, rejected,
      unauthorized or crash.
    """
    if name in _named:
        return _named[name]
    if name not in _SCRIPTS:
        raise gateway.InvalidModelName(f"There is no scripted model {name!r}; there are {', '.join(sorted(_SCRIPTS))}.")
    script, given = _SCRIPTS[name], {**(parameters or {}), **more}
    return ScriptedChatModel(replies=[lambda request: script(request, given)], repeat_last=True)


def _echo(request: Request, _parameters: Mapping[str, Any]) -> Reply:
    return Reply(text=request.said)


def _tools(request: Request, parameters: Mapping[str, Any]) -> Reply:
    if answers := request.tool_answers:
        return Reply(text=" ".join(f"{name}: {answer}" for name, answer in answers))
    if not request.tools:
        return Reply(text="There are no tools.")
    given = _EXAMPLES | dict(parameters.get("args") or {})
    calls = ((name, given.get(name) or _example(schema, request)) for name, schema in request.tools.items())
    return Reply(calls=tuple(calls))


def _slow(_request: Request, parameters: Mapping[str, Any]) -> Reply:
    words = " ".join(f"word{number}" for number in range(1, int(parameters.get("pieces", 20)) + 1))
    delay = float(parameters.get("delay", 0.1))
    return Reply(text=words, delay=delay, piece_delay=delay)


def _fail(_request: Request, parameters: Mapping[str, Any]) -> Reply:
    error = _ERRORS[str(parameters.get("error", "unavailable"))]()
    return Reply(text=str(parameters.get("text", "")), error=error, delay=float(parameters.get("delay", 0)))


def _example(schema: Mapping[str, Any], request: Request) -> dict[str, Any]:
    """Arguments that fit a tool's schema."""
    wanted = schema.get("parameters") or {}
    values = {"string": request.said, "integer": 1, "number": 1.5, "boolean": True, "array": [], "object": {}}
    types = {name: wanted["properties"][name].get("type", "string") for name in wanted.get("required", ())}
    return {name: values.get(kind, request.said) for name, kind in types.items()}


_EXAMPLES: dict[str, Mapping[str, Any]] = {"calculate": {"expression": "6 * 7"}}
_SCRIPTS = {"echo": _echo, "tools": _tools, "slow": _slow, "fail": _fail}


@contextmanager
def named_model(model: BaseChatModel) -> Iterator[str]:
    """While inside, the model can be used in this process under the name that this gives."""
    name = f"test-{uuid.uuid4().hex[:12]}"
    _named[name] = model
    try:
        yield f"scripted:{name}"
    finally:
        del _named[name]
