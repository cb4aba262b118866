"""Tools and schemas: kept in OpenAI's form, which every provider's model can bind, until a deployment is tried."""

from __future__ import annotations

import threading
from collections import OrderedDict
from collections.abc import Mapping
from typing import Any, Final

from langchain_core.language_models import BaseChatModel
from langchain_core.runnables import RunnableSequence
from langchain_core.runnables.base import RunnableBinding
from langchain_openai.chat_models.base import BaseChatOpenAI

from agents.gateway.exceptions import ModelRejected
from agents.gateway.local_chat import LocalChatModel

MOST_BOUND: Final = 128
# What goes to the model's own bind_tools with the tools, where it was given.
_WITH_TOOLS: Final = ("tool_choice", "strict", "parallel_tool_calls")
TOOLS: Final = "tools"
FORMAT: Final = "response_format"

# (model, tools, the rest) by identity → what came of it; the first two are kept with it, so that the ids stay theirs.
_bound: OrderedDict[tuple[int, int, str], tuple[Any, Any, Mapping[str, Any]]] = OrderedDict()
_lock = threading.Lock()


def options_for(model: BaseChatModel, options: Mapping[str, Any]) -> dict[str, Any]:
    """The call's options as this model takes them. Raises ModelRejected when it cannot."""
    if not options.get(TOOLS) and FORMAT not in options:
        return dict(options)
    found = {name: value for name, value in options.items() if name != TOOLS and name not in _WITH_TOOLS}
    try:
        if FORMAT in found and not isinstance(model, BaseChatOpenAI | LocalChatModel):
            found |= _formatted(model, found.pop(FORMAT))
        return {**found, **(_tools_of(model, options) if options.get(TOOLS) else {})}
    except (NotImplementedError, ValueError, TypeError) as error:
        raise ModelRejected(f"These tools or this schema cannot be given to the model ({error}).") from None


def _tools_of(model: BaseChatModel, options: Mapping[str, Any]) -> Mapping[str, Any]:
    tools = options[TOOLS]
    rest = {name: options[name] for name in _WITH_TOOLS if name in options}
    key = (id(model), id(tools), repr(rest))
    known = _bound.get(key)
    if known is not None:
        return known[2]
    binding = model.bind_tools(tools, **rest)
    kwargs: Mapping[str, Any] = binding.kwargs if isinstance(binding, RunnableBinding) else {}
    with _lock:
        _bound[key] = (model, tools, kwargs)
        while len(_bound) > MOST_BOUND:
            _bound.popitem(last=False)
    return kwargs


def _formatted(model: BaseChatModel, wanted: Any) -> Mapping[str, Any]:
    """What the model's own structured output binds for this schema."""
    schema = wanted.get("json_schema", {}).get("schema") if isinstance(wanted, Mapping) else None
    if schema is None:
        return {FORMAT: wanted}
    name = wanted["json_schema"].get("name", "answer")
    chain = model.with_structured_output({"title": name, "description": name, **schema}, method="json_schema")
    first = chain.first if isinstance(chain, RunnableSequence) else None
    if not isinstance(first, RunnableBinding) or TOOLS in first.kwargs:
        raise NotImplementedError("no schema for the answer")
    return {key: value for key, value in first.kwargs.items() if key != "ls_structured_output_format"}
