"""Agents defined in code: classes, and what their digest follows."""

from __future__ import annotations

import importlib
import sys
import textwrap
import threading
from pathlib import Path
from typing import Any

import pytest

from agents.definitions import AgentDefinition, register, registry
from agents.definitions.exceptions import SlugTaken, UnknownAgent, UnknownGraphKind
from agents.definitions.versions import digest_of


def shipping_days(country: str) -> int:
    """How many days a parcel takes to a country."""
    return 3 if country == "Brazil" else 9


class Parcels(AgentDefinition):
    slug = "parcels"
    system_prompt = """
        You answer questions about parcels.
        Briefly.
    """
    tools = (shipping_days, "calculate")


class Graphed(AgentDefinition):
    slug = "graphed"

    def graph(self, context: Any) -> str:
        return f"graph of {context}"


def _digest(definition: type[AgentDefinition]) -> str:
    return digest_of(definition.configuration(), source=definition.source())


def test_a_class_becomes_a_configuration() -> None:
    made = Parcels.configuration()
    assert made.kind == "tool-calling"
    assert made.tools == ("shipping_days", "calculate")
    assert made.system_prompt == "You answer questions about parcels.\nBriefly."
    assert made.memory_messages == 20
    assert Parcels.title() == "Parcels"


def test_an_agents_own_functions_are_found_by_name(code: None) -> None:
    register(Parcels)
    assert registry.callables("parcels") == {"shipping_days": shipping_days}
    assert registry.callables("of-the-admin") == {}


def test_a_tool_object_goes_by_the_name_it_has() -> None:
    class Named:
        name = "look_up"

        def invoke(self, input: Any) -> Any:
            return input

    class Listed(AgentDefinition):
        slug = "listed"
        tools = (Named(),)

    assert Listed.configuration().tools == ("look_up",)


def test_a_graph_of_its_own_is_a_kind_of_its_own(code: None) -> None:
    register(Graphed)
    assert Graphed.configuration().kind == "code:graphed"
    assert registry.graph_kind("code:graphed")("here") == "graph of here"


def test_an_unknown_kind_is_refused_by_name(code: None) -> None:
    register(Parcels)
    with pytest.raises(UnknownGraphKind, match="nothing"):
        registry.graph_kind("nothing")
    with pytest.raises(UnknownGraphKind, match="code:parcels"):
        registry.graph_kind("code:parcels")
    with pytest.raises(UnknownAgent, match="gone"):
        registry.graph_kind("code:gone")


def test_a_slug_belongs_to_one_class(code: None) -> None:
    register(Parcels)
    register(Parcels)
    with pytest.raises(SlugTaken, match="both have the slug 'parcels'"):
        register(type("Other", (AgentDefinition,), {"slug": "parcels"}))
    assert registry.get("parcels") is Parcels


def test_replaced_ends_as_it_began(code: None) -> None:
    register(Parcels)
    other = type("Other", (AgentDefinition,), {"slug": "parcels"})
    with registry.replaced(other):
        assert registry.get("parcels") is other
    assert registry.get("parcels") is Parcels


MODULE = """
    from agents.definitions import AgentDefinition

    def days(country: str) -> int:
        '''How many days.'''
        return {days}

    def node(state):
        return {node}

    class Simple(AgentDefinition):
        slug = "simple"
        tools = [days]

    class Complex(AgentDefinition):
        slug = "complex"

        def graph(self, context):
            return node
"""


def _module(folder: Path, monkeypatch: pytest.MonkeyPatch, **values: int) -> Any:
    name = f"written_for_digests_{len([*folder.iterdir()])}"
    (folder / f"{name}.py").write_text(textwrap.dedent(MODULE.format(**values)))
    monkeypatch.syspath_prepend(str(folder))
    importlib.invalidate_caches()
    module = importlib.import_module(name)
    monkeypatch.delitem(sys.modules, name)
    # inspect finds a class's module by name.
    monkeypatch.setitem(sys.modules, name, module)
    return module


def test_a_digest_follows_the_code_that_runs_and_no_other(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    before = _module(tmp_path, monkeypatch, days=3, node=1)
    same = _module(tmp_path, monkeypatch, days=3, node=1)
    other_node = _module(tmp_path, monkeypatch, days=3, node=2)
    other_tool = _module(tmp_path, monkeypatch, days=4, node=1)

    assert _digest(before.Simple) == _digest(same.Simple)
    assert _digest(before.Complex) == _digest(same.Complex)
    assert _digest(before.Simple) == _digest(other_node.Simple)
    assert _digest(before.Complex) != _digest(other_node.Complex)
    assert _digest(before.Simple) != _digest(other_tool.Simple)


def test_a_digest_follows_the_configuration() -> None:
    digests = {
        _digest(Parcels),
        digest_of(Parcels.configuration()),
        digest_of(Graphed.configuration()),
    }
    assert len(digests) == 3
    assert all(len(digest) == 64 for digest in digests)


def test_code_typed_into_a_shell_has_a_digest_too() -> None:
    definition = type("Typed", (AgentDefinition,), {"slug": "typed", "__module__": "__console__"})
    assert _digest(definition) == _digest(definition)


def test_loading_happens_once_however_many_ask(monkeypatch: pytest.MonkeyPatch) -> None:
    calls: list[str] = []
    started = threading.Barrier(4)

    def ask() -> None:
        started.wait(10)
        registry.load()

    monkeypatch.setattr(registry, "_loaded", False)
    monkeypatch.setattr(registry, "autodiscover_modules", calls.append)
    threads = [threading.Thread(target=ask) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(10)
    assert calls == ["agents"]


def test_loading_that_failed_is_tried_again(monkeypatch: pytest.MonkeyPatch) -> None:
    outcomes: list[Exception | None] = [ImportError("broken"), None]

    def discover(_name: str) -> None:
        outcome = outcomes.pop(0)
        if outcome is not None:
            raise outcome

    monkeypatch.setattr(registry, "_loaded", False)
    monkeypatch.setattr(registry, "autodiscover_modules", discover)
    with pytest.raises(ImportError, match="broken"):
        registry.load()
    registry.load()
    assert outcomes == []
