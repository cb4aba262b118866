"""Answers that begin anew inside a task's run: tools with effects run once, and readers of the stream are told."""

from __future__ import annotations

import pytest
from langchain_core.messages import AIMessageChunk
from langchain_core.outputs import ChatGenerationChunk

from agents.definitions.definition import AgentDefinition
from agents.gateway.models import ModelCall
from agents.memory.transcript import last_text
from agents.tasks.models import Status
from agents.tasks.timeline import timeline_of
from agents.testing import run_agent_inline
from tests.gateway.routes import deployment, route
from tests.upstream import faults
from tests.upstream.client import Upstream
from tests.upstream.script import Behaviour, Call

pytestmark = pytest.mark.django_db(transaction=True)
PAID: list[int] = []


def pay(amount: int) -> str:
    """Pays so much."""
    PAID.append(amount)
    return f"paid {amount}"


class Cashier(AgentDefinition):
    slug = "tests-cashier"
    model = "route:main"
    tools = (pay,)


@pytest.fixture(autouse=True)
def _nothing_paid() -> None:
    PAID.clear()


def test_a_tool_whose_call_was_cut_runs_once_as_the_last_answer_says(upstream: Upstream) -> None:
    """The first deployment breaks off in the middle of its tool call, or right after it was complete."""
    cut = faults.cut(after=3, reset=False)
    upstream.script(
        first=Behaviour(calls=(Call("pay", '{"amount": 7}'),), faults=(cut,)),
        second=(Behaviour(calls=(Call("pay", '{"amount": 7}'),), times=1), Behaviour(text="It is paid.")),
    )
    route("main", deployment("first"), deployment("second"))
    run = run_agent_inline(Cashier, "Pay 7.")
    assert (run.task.status, run.text) == (Status.SUCCEEDED, "It is paid.")
    assert PAID == [7]
    assert run.tool_calls == [("pay", {"amount": 7})]
    tries = ModelCall.objects.order_by("started_at").values_list("tries", flat=True)
    assert [[each["outcome"] for each in row] for row in tries] == [["broken", "succeeded"], ["broken", "succeeded"]]


def test_without_the_restart_the_two_halves_would_be_one_call(
    upstream: Upstream, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The control: pieces that are simply added together are no call that could be made."""
    monkeypatch.setattr(
        "agents.gateway.restarts.restart",
        lambda **_said: ChatGenerationChunk(message=AIMessageChunk(content="")),
    )
    upstream.script(
        first=Behaviour(calls=(Call("pay", '{"amount": 7}'),), faults=(faults.cut(after=3, reset=False),)),
        second=(Behaviour(calls=(Call("pay", '{"amount": 7}'),), times=1), Behaviour(text="It is paid.")),
    )
    route("main", deployment("first"), deployment("second"))
    run_agent_inline(Cashier, "Pay 7.")
    assert PAID != [7]


def test_readers_of_the_events_are_told_to_forget_what_they_have_shown(upstream: Upstream) -> None:
    upstream.script(
        first=Behaviour(text="The old answer.", faults=(faults.cut(after=2),)), second=Behaviour(text="A new one.")
    )
    route("main", deployment("first"), deployment("second"))
    run = run_agent_inline(Cashier, "hi")
    messages = [data for kind, data in run.events if kind == "message"]
    place = next(number for number, data in enumerate(messages) if data.get("restart"))
    assert "".join(data["text"] for data in messages[:place]) in ("The old", "The")
    assert "".join(data["text"] for data in messages[place:]) == "A new one."
    assert sum(bool(data.get("restart")) for data in messages) == 1
    assert run.text == "A new one."
    assert last_text(run.events[: _end_of_messages(run.events)]) == "A new one."
    lines, _more = timeline_of(run.task)
    assert [line.text for line in lines if line.kind == "message"] == ["A new one."]


def _end_of_messages(events: list[tuple[str, dict[str, object]]]) -> int:
    return max(number for number, (kind, _data) in enumerate(events) if kind == "message") + 1
