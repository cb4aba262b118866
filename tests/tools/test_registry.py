"""Tools by name, and what can be one."""

from __future__ import annotations

from typing import Any

import pytest

from agents.tools import registry
from agents.tools.clock import current_time
from agents.tools.exceptions import InvalidTool, UnknownTool
from agents.tools.schemas import check_tool


@pytest.fixture(autouse=True)
def _own_tools(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(registry, "_tools", dict(registry._tools))


def weigh(parcel: str, *, exactly: bool = False) -> float:
    """Weighs a parcel, in kilograms."""
    return 1.0


def test_the_tools_that_ship_are_there() -> None:
    assert {"calculate", "current_time"} <= set(registry.names())


def test_a_function_is_registered_under_its_name_or_another() -> None:
    assert registry.register_tool(weigh) is weigh
    assert registry.register_tool(name="weigh_exactly")(weigh) is weigh
    assert registry.register_tool(weigh) is weigh
    assert registry.get("weigh") is registry.get("weigh_exactly") is weigh
    registry.unregister("weigh")
    with pytest.raises(UnknownTool):
        registry.get("weigh")


def test_an_unknown_tool_is_named() -> None:
    with pytest.raises(UnknownTool, match="'no_such_tool'"):
        registry.get("no_such_tool")


def test_a_name_belongs_to_one_function() -> None:
    with pytest.raises(InvalidTool, match="both are the tool 'current_time'"):
        registry.register_tool(name="current_time")(weigh)
    assert registry.get("current_time") is current_time


def no_docstring(parcel: str) -> float:
    return 1.0


def no_annotation(parcel) -> float:  # type: ignore[no-untyped-def]
    """Weighs."""
    return 1.0


def anything(**parcels: Any) -> float:
    """Weighs."""
    return 1.0


@pytest.mark.parametrize(
    ("function", "name", "sentence"),
    [
        (no_docstring, "weigh", "needs a docstring"),
        (no_annotation, "weigh", "'parcel' of the tool 'weigh' needs an annotation"),
        (anything, "weigh", "cannot take"),
        (weigh, "weigh it", "is no name for a tool"),
        (weigh, "", "is no name for a tool"),
    ],
)
def test_what_a_model_could_not_call_is_refused(function: Any, name: str, sentence: str) -> None:
    with pytest.raises(InvalidTool, match=sentence):
        registry.check_function(name, function)


def test_the_time_is_told_in_any_zone() -> None:
    assert current_time().endswith("UTC (UTC+0000)")
    assert "(UTC-0300)" in current_time("America/Sao_Paulo")


@pytest.mark.parametrize("zone", ["Mars/Olympus", "../../etc/passwd", "", "a\x00b", "/etc/localtime"])
def test_an_unknown_zone_is_a_sentence(zone: str) -> None:
    with pytest.raises(ValueError, match="There is no time zone"):
        current_time(zone)


class Unspeakable:
    """No schema says what this is."""


def hand_over(parcel: Unspeakable) -> float:
    """Takes what no model can send."""
    return 1.0


def test_a_tool_whose_arguments_cannot_be_told_is_refused_when_an_agent_is_saved() -> None:
    registry.register_tool(weigh)
    registry.register_tool(hand_over)
    check_tool("weigh")
    with pytest.raises(InvalidTool, match="hand_over"):
        check_tool("hand_over")
    with pytest.raises(UnknownTool):
        check_tool("no_such_tool")
