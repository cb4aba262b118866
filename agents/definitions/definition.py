"""An agent as a class, found in the module `agents` of any installed app.

@register
class Parcels(AgentDefinition):
    slug = "parcels"
    system_prompt = "You answer questions about parcels."
    tools = [shipping_days]
"""

from __future__ import annotations

import inspect
import threading
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any, ClassVar, Protocol, cast, runtime_checkable

from agents.definitions.data import TOOL_CALLING, Configuration

CODE_KIND = "code:"
# CPython 3.11 counts the depth of a syntax tree for all threads together: two that parse at once can fail.
_parsing = threading.Lock()


@runtime_checkable
class ToolObject(Protocol):
    """A tool that has a name of its own, such as LangChain's `@tool` makes."""

    name: str

    def invoke(self, input: Any) -> Any: ...  # noqa: A002 (LangChain's name)


Tool = Callable[..., Any] | ToolObject
"""A plain function with annotations and a docstring, or a tool object."""


class AgentDefinition:
    """Subclass, set `slug`, decorate with `@register`.

    slug: lower-case letters, digits and hyphens; how the agent is called.
    model: `provider:model`, or empty for the installation's default.
    tools: names from the tools registry, functions with annotations and a docstring, LangChain tools.
    parameters: for the model, such as `{"temperature": 0.2}`; no secrets, they come from the environment.
    limits: defaults for tasks: `seconds`, `steps`, `tokens`, `cost`.
    memory_messages: how many earlier messages of a conversation the agent is shown.
    policy: how its tasks are executed, such as `{"max_attempts": 5, "if_busy": "interrupt"}`; see
        `agents.definitions.policy`.
    cache: when its model calls may be answered by earlier answers, such as `{"mode": "semantic", "ttl": 3600}`; see
        `agents.definitions.cache_policy`.
    queue: which workers run it.

    An agent with a LangGraph of its own defines `graph(self, context)`, which returns a StateGraph, compiled
    or not.
    """

    slug: ClassVar[str] = ""
    name: ClassVar[str] = ""
    description: ClassVar[str] = ""
    model: ClassVar[str] = ""
    system_prompt: ClassVar[str] = ""
    tools: ClassVar[Sequence[str | Tool]] = ()
    parameters: ClassVar[Mapping[str, Any]] = {}
    limits: ClassVar[Mapping[str, Any]] = {}
    memory_messages: ClassVar[int] = 20
    policy: ClassVar[Mapping[str, Any]] = {}
    cache: ClassVar[Mapping[str, Any]] = {}
    queue: ClassVar[str] = "interactive"

    @classmethod
    def title(cls) -> str:
        """Its name for people; made of the slug when none is given."""
        return cls.name or cls.slug.replace("-", " ").capitalize()

    @classmethod
    def graph_factory(cls) -> Callable[[Any], Any] | None:
        """The method `graph` of a new instance, or None when the agent has no graph of its own."""
        if not callable(getattr(cls, "graph", None)):
            return None
        return cast("Callable[[Any], Any]", cls().graph)  # type: ignore[attr-defined]

    @classmethod
    def configuration(cls) -> Configuration:
        """What its version row is made of."""
        return Configuration(
            kind=f"{CODE_KIND}{cls.slug}" if callable(getattr(cls, "graph", None)) else TOOL_CALLING,
            model=cls.model,
            system_prompt=inspect.cleandoc(cls.system_prompt),
            tools=tuple(tool if isinstance(tool, str) else tool_name(tool) for tool in cls.tools),
            parameters=dict(cls.parameters),
            limits=dict(cls.limits),
            memory_messages=cls.memory_messages,
            policy=dict(cls.policy),
            cache=dict(cls.cache),
        )

    @classmethod
    def callables(cls) -> dict[str, Tool]:
        """The tools that are its own, by name."""
        return {tool_name(tool): tool for tool in cls.tools if not isinstance(tool, str)}

    @classmethod
    def source(cls) -> str:
        """The code that a run of it executes, as far as it is the agent's own: its digest follows changes of
        it.

        That is its class and bases and its functions; of an agent with a graph the whole module, where the
        nodes are.
        """
        subjects: list[Any] = [base for base in cls.__mro__ if base not in (AgentDefinition, object)]
        if callable(getattr(cls, "graph", None)):
            subjects.append(inspect.getmodule(cls))
        subjects += [getattr(tool, "func", None) or tool for tool in cls.callables().values()]
        return "\n".join(_sources(subjects))


def tool_name(tool: Tool) -> str:
    """The name under which a model calls this tool."""
    name = getattr(tool, "name", None) or getattr(tool, "__name__", None)
    return name if isinstance(name, str) else type(tool).__name__


def _sources(subjects: list[Any]) -> Iterator[str]:
    for subject in subjects:
        try:
            with _parsing:
                source = inspect.getsource(subject)
            yield source
        except (OSError, TypeError):
            # Typed into a shell, or not written in Python: its name is all there is to compare.
            name = getattr(subject, "__qualname__", type(subject).__qualname__)
            yield f"{getattr(subject, '__module__', '')}.{name}"
