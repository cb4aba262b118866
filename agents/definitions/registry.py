"""Agents and graph kinds that exist as code.

An agent's module may import LangChain, which is slow and large, so nothing is imported when Django starts:
`load()` imports the module `agents` of every installed app when somebody first asks.
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from typing import Any, TypeVar

from django.utils.module_loading import autodiscover_modules

from agents.definitions.definition import CODE_KIND, AgentDefinition, Tool
from agents.definitions.exceptions import SlugTaken, UnknownAgent, UnknownGraphKind

GraphFactory = Callable[[Any], Any]
"""Takes what the runtime knows (its build context), gives a LangGraph graph, compiled or not."""

Definition = TypeVar("Definition", bound=type[AgentDefinition])

_definitions: dict[str, type[AgentDefinition]] = {}
_graph_kinds: dict[str, GraphFactory] = {}
# Reentrant: an agent's module may itself ask the registry while it is being imported.
_loading = threading.RLock()
_loaded = False


def register(definition: Definition) -> Definition:
    """Class decorator: makes the agent known. Raises SlugTaken when another class has its slug."""
    known = _definitions.get(definition.slug)
    if known is not None and _address(known) != _address(definition):
        raise SlugTaken(f"{_address(definition)} and {_address(known)} both have the slug {definition.slug!r}.")
    _definitions[definition.slug] = definition
    return definition


@contextmanager
def replaced(definition: type[AgentDefinition]) -> Iterator[None]:
    """While inside, this class is the agent of its slug, whatever was before (for tests; in the whole
    process).
    """
    load()
    before = _definitions.get(definition.slug)
    _definitions[definition.slug] = definition
    try:
        yield
    finally:
        del _definitions[definition.slug]
        if before is not None:
            _definitions[definition.slug] = before


def load() -> None:
    """Imports every app's module `agents`, once; whatever that raises goes through, and the next call tries
    again.
    """
    global _loaded
    if _loaded:
        return
    with _loading:
        if not _loaded:
            autodiscover_modules("agents")
            _loaded = True


def definitions() -> list[type[AgentDefinition]]:
    """Every agent defined in code, by slug."""
    load()
    return [_definitions[slug] for slug in sorted(_definitions)]


def get(slug: str) -> type[AgentDefinition]:
    """The agent's class. Raises UnknownAgent when its code is not installed."""
    load()
    try:
        return _definitions[slug]
    except KeyError:
        raise UnknownAgent(f"The code of the agent {slug!r} is not installed.") from None


def find(slug: str) -> type[AgentDefinition] | None:
    """The agent's class; None for one that has no code here."""
    load()
    return _definitions.get(slug)


def callables(slug: str) -> Mapping[str, Tool]:
    """The functions and tool objects that are this agent's own, by name; none for an agent made in the admin."""
    load()
    definition = _definitions.get(slug)
    return definition.callables() if definition else {}


def register_graph_kind(name: str, factory: GraphFactory) -> None:
    """Makes a kind of graph known; the last registration of a name counts."""
    _graph_kinds[name] = factory


def graph_kinds() -> list[str]:
    """The kinds of graph that an agent made in the admin may have."""
    return sorted(_graph_kinds)


def graph_kind(name: str) -> GraphFactory:
    """What builds graphs of this kind; `code:<slug>` is the graph of that agent. Raises UnknownGraphKind."""
    if name in _graph_kinds:
        return _graph_kinds[name]
    factory = get(name.removeprefix(CODE_KIND)).graph_factory() if name.startswith(CODE_KIND) else None
    if factory is None:
        raise UnknownGraphKind(f"No graph of the kind {name!r} is installed.")
    return factory


def _address(definition: type[AgentDefinition]) -> str:
    return f"{definition.__module__}.{definition.__qualname__}"
