"""Tools as LangChain calls them; what they raise is told to the model."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest
from langchain_core.messages import ToolMessage
from langchain_core.tools import ToolException, tool

from agents.tasks.exceptions import LeaseLost
from agents.tools.exceptions import InvalidTool, UnknownTool
from agents.tools.langchain import build_tools

# A tool gives back the connections of its thread, where an earlier test may have left one.
pytestmark = pytest.mark.django_db


def shipping_days(country: str, *, express: bool = False) -> int:
    """How many days a parcel takes.

    Args:
        country: where to
        express: whether somebody is in a hurry
    """
    if country == "Atlantis":
        raise LookupError("No parcel goes to Atlantis.")
    if country == "Limbo":
        raise LeaseLost
    if country == "Hell":
        raise KeyboardInterrupt
    return 1 if express else 3


async def distance(country: str) -> int:
    """How far a country is."""
    await asyncio.sleep(0)
    return len(country)


@tool
def weigh(parcel: str) -> str:
    """Weighs a parcel."""
    raise RuntimeError(f"{parcel} is too heavy.")


def _call(built: Any, **arguments: Any) -> ToolMessage:
    message = built.invoke({"type": "tool_call", "id": "call-1", "name": built.name, "args": arguments})
    assert isinstance(message, ToolMessage)
    return message


def test_a_function_is_described_by_its_docstring_and_annotations() -> None:
    (built,) = build_tools(["shipping_days"], {"shipping_days": shipping_days})
    assert built.name == "shipping_days"
    assert built.description == "How many days a parcel takes."
    schema = built.args
    assert schema["country"] == {"description": "where to", "title": "Country", "type": "string"}
    assert schema["express"]["default"] is False


def test_tools_come_in_order_from_the_agent_first_and_then_from_the_registry() -> None:
    def calculate(expression: str) -> str:
        """The agent's own."""
        return "own"

    built = build_tools(["current_time", "calculate"], {"calculate": calculate})
    assert [one.name for one in built] == ["current_time", "calculate"]
    assert _call(built[1], expression="1").content == "own"
    assert build_tools(["calculate"], {})[0].invoke({"expression": "6*7"}) == "42"


def test_an_answer_is_a_tool_message() -> None:
    (built,) = build_tools(["shipping_days"], {"shipping_days": shipping_days})
    answer = _call(built, country="Brazil")
    assert (answer.content, answer.status, answer.tool_call_id) == ("3", "success", "call-1")


def test_an_error_is_a_tool_message_too() -> None:
    (built,) = build_tools(["shipping_days"], {"shipping_days": shipping_days})
    answer = _call(built, country="Atlantis")
    assert (answer.status, answer.content) == ("error", "LookupError: No parcel goes to Atlantis.")


def test_arguments_that_do_not_fit_are_a_tool_message() -> None:
    (built,) = build_tools(["shipping_days"], {"shipping_days": shipping_days})
    answer = _call(built, country=["Brazil"])
    assert answer.status == "error"


def test_what_ends_the_run_is_not_told_to_the_model() -> None:
    class Steering(Exception): ...

    def steer(country: str) -> str:
        """Steers."""
        raise Steering

    (built,) = build_tools(["shipping_days"], {"shipping_days": shipping_days})
    with pytest.raises(LeaseLost):
        _call(built, country="Limbo")
    with pytest.raises(KeyboardInterrupt):
        _call(built, country="Hell")
    (built,) = build_tools(["steer"], {"steer": steer}, passing=(Steering,))
    with pytest.raises(Steering):
        _call(built, country="")


def test_a_langchain_tool_is_guarded_and_itself_left_as_it_is() -> None:
    (built,) = build_tools(["weigh"], {"weigh": weigh})
    answer = _call(built, parcel="An anvil")
    assert (answer.status, answer.content) == ("error", "RuntimeError: An anvil is too heavy.")
    with pytest.raises(RuntimeError):
        weigh.invoke({"parcel": "An anvil"})


def test_a_tools_own_error_keeps_its_words() -> None:
    def refuse(parcel: str) -> str:
        """Refuses."""
        raise ToolException("Not today.")

    assert _call(build_tools(["refuse"], {"refuse": refuse})[0], parcel="").content == "Not today."


def test_an_async_function_can_be_called_by_a_sync_graph() -> None:
    (built,) = build_tools(["distance"], {"distance": distance})
    assert _call(built, country="Brazil").content == "6"


def test_unknown_and_unfit_tools_are_named() -> None:
    with pytest.raises(UnknownTool, match="no_such_tool"):
        build_tools(["no_such_tool"], {})
    with pytest.raises(InvalidTool, match="docstring"):
        build_tools(["bare"], {"bare": lambda: 1})
