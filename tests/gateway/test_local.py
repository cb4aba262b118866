"""The real local model."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from agents.gateway import local
from agents.gateway.chat import chat_model
from agents.gateway.data import CallContext

pytestmark = [pytest.mark.local_model, pytest.mark.django_db]
PROMPTS = [(f"Compute {sum_}", "calculate") for sum_ in ("5+9", "12*7", "100/4", "3-1", "8*8")] + [
    (question, "current_time")
    for question in ("What time is it?", "what is the date today", "Tell me the time", "Current time?", "Time now?")
]


@pytest.fixture(scope="module", autouse=True)
def _server() -> Iterator[None]:
    yield
    for process in local._own:
        process.terminate()
        process.wait(5)
    local._own.clear()


def calculate(expression: str) -> str:
    """Works out an arithmetic expression."""
    return expression


def current_time(timezone: str = "UTC") -> str:
    """Tells the current date and time."""
    return timezone


def test_it_streams_and_chooses_the_right_tool_mostly() -> None:
    model = chat_model("local:smollm2-135m", parameters={"max_tokens": 40}, context=CallContext())
    assert len(list(model.stream("Say hello"))) > 1
    bound = model.bind_tools([calculate, current_time])
    right = [[call["name"] for call in bound.invoke(said).tool_calls] == [tool] for said, tool in PROMPTS]
    # Measured: 7 of 10; the goal is 8. Below 6 it would be guessing between the two, which is what must not come back.
    assert sum(right) >= 6
