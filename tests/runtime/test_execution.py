"""Running one attempt, from claim to result."""

from __future__ import annotations

import operator
import threading
from typing import Annotated, Any, TypedDict

import pytest
from django.db import OperationalError
from langchain_core.messages import AIMessage
from langgraph.config import get_stream_writer
from langgraph.graph import END, START, MessagesState, StateGraph

from agents.definitions.definition import AgentDefinition
from agents.gateway.exceptions import ModelUnavailable
from agents.runtime.control import RunControl, RunInterrupted
from agents.runtime.exceptions import UnusableInput
from agents.runtime.execution import RunResult, execute
from agents.runtime.failures import failure_of
from agents.runtime.graphs import BuildContext
from agents.tasks.data import Claim
from agents.tasks.exceptions import LeaseLost
from agents.tasks.models import Task
from telemetry.models import Span
from telemetry.spans import current_span_id, flush_spans
from tests.runtime.conftest import Answers, Desk, until

pytestmark = pytest.mark.django_db(transaction=True)


class Clerk(AgentDefinition):
    slug = "tests-clerk"
    model = "fake:clerk"
    system_prompt = "You are a clerk."


class Adder(AgentDefinition):
    """Calls its tool."""

    slug = "tests-adder"
    model = "fake:adder"

    @staticmethod
    def add(a: int, b: int) -> int:
        """Adds two numbers."""
        return a + b

    tools = (add.__func__,)  # type: ignore[attr-defined]


class Numbers(TypedDict):
    trail: Annotated[list[str], operator.add]


def line(*nodes: tuple[str, Any], state: Any = Numbers) -> StateGraph[Any]:
    """Nodes one after another."""
    graph: StateGraph[Any] = StateGraph(state)
    before = START
    for name, function in nodes:
        graph.add_node(name, function)
        graph.add_edge(before, name)
        before = name
    graph.add_edge(before, END)
    return graph


def agent(name: str, graph: Any) -> type[AgentDefinition]:
    """An agent with this graph."""

    def build(_self: AgentDefinition, context: BuildContext) -> Any:
        return graph(context) if callable(graph) else graph

    return type(name, (AgentDefinition,), {"slug": name, "graph": build, "__module__": __name__})


def run(claim: Claim) -> RunResult:
    done = execute(claim, RunControl())
    assert isinstance(done, RunResult)
    return done


def kinds(result: RunResult, desk: Desk, claim: Claim) -> list[str]:
    return [kind for kind, _ in desk.events(claim)] + [event.kind for event in result.events]


class TestAToolCallingAgent:
    def test_answers_with_the_text_of_its_model(self, desk: Desk, answers: Answers) -> None:
        made = answers("Good morning to you")
        claim = desk.claim(Clerk, "Good morning")

        result = run(claim)

        assert result.result == {"text": "Good morning to you", "messages": 2}
        assert [call["name"] for call in made] == ["fake:clerk"]
        assert made[0]["context"].task_id == claim.task_id

    def test_streams_its_answer_in_pieces_of_which_the_first_is_written_at_once(
        self, desk: Desk, answers: Answers
    ) -> None:
        answers("one two three")
        claim = desk.claim(Clerk)

        result = run(claim)

        written = desk.events(claim) + [(event.kind, event.data) for event in result.events]
        assert "".join(data["text"] for kind, data in written if kind == "message") == "one two three"
        assert written[-1] == ("step", {"node": "model"})

    def test_calls_its_tools_and_says_so(self, desk: Desk, answers: Answers) -> None:
        call = {"id": "1", "name": "add", "args": {"a": 2, "b": 3}}
        answers(AIMessage("", tool_calls=[call]), "It is five")
        claim = desk.claim(Adder, "2+3?")

        result = run(claim)

        written = desk.events(claim) + [(event.kind, event.data) for event in result.events]
        assert [kind for kind, _ in written if kind != "message"] == [
            "step", "tool_call", "step", "tool_result", "step",
        ]  # fmt: skip
        assert ("tool_call", call) in written
        assert ("tool_result", {"id": "1", "name": "add", "content": "5"}) in written
        assert "".join(data["text"] for kind, data in written if kind == "message") == "It is five"
        assert result.result["text"] == "It is five"

    def test_gives_two_tasks_of_one_graph_each_a_model_of_its_own(self, desk: Desk, answers: Answers) -> None:
        made = answers("first", "second")
        first, second = desk.claim(Clerk), desk.claim(Clerk)

        run(first), run(second)

        assert [call["context"].task_id for call in made] == [first.task_id, second.task_id]

    def test_gets_messages_as_they_are_given(self, desk: Desk, answers: Answers) -> None:
        answers("fine")
        claim = desk.claim(
            Clerk, {"messages": [{"role": "user", "content": "a"}, {"role": "assistant", "content": "b"}]}
        )

        assert run(claim).result == {"text": "fine", "messages": 3}

    def test_refuses_messages_that_are_none(self, desk: Desk, answers: Answers) -> None:
        answers()
        with pytest.raises(UnusableInput) as caught:
            run(desk.claim(Clerk, {"messages": [{"colour": "blue"}]}))
        assert not failure_of(caught.value).retryable

    def test_sees_the_earlier_turns_of_its_conversation(
        self, desk: Desk, answers: Answers, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        class Turn:
            role, content = "user", "earlier"

        asked: list[dict[str, Any]] = []

        def history(**given: Any) -> list[Turn]:
            asked.append(given)
            return [Turn(), Turn()]

        monkeypatch.setattr("agents.runtime.translation.history", history)
        answers("noted")
        claim = desk.claim(Clerk, {"conversation": "1", "text": "now"}, serial_key="conversation:1")

        assert run(claim).result["messages"] == 4
        assert asked == [{"task_id": claim.task_id, "limit": 20}]

    def test_fails_as_its_model_fails(self, desk: Desk, answers: Answers) -> None:
        answers(ModelUnavailable(retry_after=7))
        claim = desk.claim(Clerk)

        with pytest.raises(ModelUnavailable) as caught:
            run(claim)

        failure = failure_of(caught.value)
        assert (failure.error_type, failure.retryable, failure.retry_after) == ("ModelUnavailable", True, 7.0)


class TestAnAgentWithItsOwnGraph:
    def test_gets_its_object_and_gives_its_state(self, desk: Desk) -> None:
        definition = agent("object", line(("double", lambda state: {"trail": [state["trail"][0] * 2]})))

        assert run(desk.claim(definition, {"trail": ["ab"]})).result == {"trail": ["ab", "abab"]}

    def test_streams_the_model_that_its_context_gives_it(self, desk: Desk, answers: Answers) -> None:
        answers("from inside")

        def graph(context: BuildContext) -> Any:
            model = context.model("fake:inner", temperature=0)
            return line(("ask", lambda state: {"messages": [model.invoke(state["messages"])]}), state=MessagesState)

        claim = desk.claim(agent("inner", graph))
        result = run(claim)

        assert result.result == {"text": "from inside", "messages": 2}
        assert kinds(result, desk, claim).count("step") == 1

    def test_says_its_own_things(self, desk: Desk) -> None:
        def tell(_state: Any) -> dict[str, Any]:
            get_stream_writer()({"progress": 0.5})
            return {"trail": ["told"]}

        claim = desk.claim(agent("teller", line(("tell", tell))), {"trail": []})
        result = run(claim)

        written = desk.events(claim) + [(event.kind, event.data) for event in result.events]
        assert ("custom", {"data": {"progress": 0.5}}) in written

    def test_is_told_apart_from_a_graph_within_it(self, desk: Desk) -> None:
        inner = line(("deep", lambda _state: {"trail": ["deep"]})).compile()
        definition = agent("nested", line(("outer", inner)))

        result = run(desk.claim(definition, {"trail": []}))

        steps = [event.data for event in result.events if event.kind == "step"]
        assert steps == [{"node": "deep", "within": "outer"}, {"node": "outer"}]

    def test_stops_at_its_step_limit(self, desk: Desk) -> None:
        graph: StateGraph[Any] = StateGraph(Numbers)
        graph.add_node("again", lambda _state: {"trail": ["x"]})
        graph.add_edge(START, "again")
        graph.add_edge("again", "again")

        with pytest.raises(Exception, match="Recursion limit") as caught:
            run(desk.claim(agent("endless", graph), {"trail": []}, steps=4))

        failure = failure_of(caught.value)
        assert (failure.error_type, failure.retryable) == ("StepLimitReached", False)


class TestASecondAttempt:
    def test_continues_after_the_last_node_that_finished(self, desk: Desk) -> None:
        ran: list[str] = []

        def pay(_state: Any) -> dict[str, Any]:
            ran.append("pay")
            return {"trail": ["paid"]}

        def thank(_state: Any) -> dict[str, Any]:
            ran.append("thank")
            if ran.count("thank") == 1:
                raise ConnectionError
            return {"trail": ["thanked"]}

        claim = desk.claim(agent("payer", line(("pay", pay), ("thank", thank))), {"trail": []})
        with pytest.raises(ConnectionError):
            run(claim)

        assert run(desk.again(claim)).result == {"trail": ["paid", "thanked"]}
        assert ran == ["pay", "thank", "thank"]

    def test_does_not_run_the_sibling_again_that_had_finished(self, desk: Desk) -> None:
        ran: list[str] = []
        done = threading.Event()

        def quick(state: Numbers) -> dict[str, Any]:
            ran.append("quick")
            done.set()
            return {"trail": ["quick"]}

        def failing(state: Numbers) -> dict[str, Any]:
            done.wait(5)
            ran.append("failing")
            if ran.count("failing") == 1:
                raise ConnectionError
            return {"trail": ["failing"]}

        graph: StateGraph[Any] = StateGraph(Numbers)
        graph.add_node("quick", quick).add_edge(START, "quick")
        graph.add_node("failing", failing).add_edge(START, "failing")
        claim = desk.claim(agent("siblings", graph), {"trail": []})
        with pytest.raises(ConnectionError):
            run(claim)

        assert sorted(run(desk.again(claim)).result["trail"]) == ["failing", "quick"]
        assert ran.count("quick") == 1

    def test_does_not_run_a_tool_again_that_had_finished(self, desk: Desk, answers: Answers) -> None:
        ran: list[int] = []

        def pay(amount: int) -> str:
            """Pays."""
            ran.append(amount)
            return "paid"

        payer = type("Payer", (AgentDefinition,), {"slug": "payer-2", "tools": (pay,), "__module__": __name__})
        call = {"id": "1", "name": "pay", "args": {"amount": 5}}
        answers(AIMessage("", tool_calls=[call]), ModelUnavailable())
        claim = desk.claim(payer)
        with pytest.raises(ModelUnavailable):
            run(claim)
        answers("It is paid")

        assert run(desk.again(claim)).result == {"text": "It is paid", "messages": 4}
        assert ran == [5]
        assert [kind for kind, _ in desk.events(claim)].count("tool_result") == 1

    def test_gives_the_result_of_a_run_that_ended_before_it_could_say_so(self, desk: Desk) -> None:
        ran: list[str] = []

        def once(_state: Any) -> dict[str, Any]:
            ran.append("once")
            return {"trail": ["x"]}

        definition = agent("done", line(("once", once)))
        claim = desk.claim(definition, {"trail": []})
        first = run(claim)

        assert run(desk.again(claim)).result == first.result
        assert ran == ["once"]

    def test_has_only_the_steps_that_are_left(self, desk: Desk) -> None:
        crashes = [ConnectionError()]

        def crash(_state: Any) -> dict[str, Any]:
            if crashes:
                raise crashes.pop()
            return {"trail": ["c"]}

        nodes = [(name, lambda _state: {"trail": ["x"]}) for name in "abde"]
        nodes.insert(2, ("crash", crash))
        claim = desk.claim(agent("tired", line(*nodes)), {"trail": []}, steps=4)
        with pytest.raises(ConnectionError):
            run(claim)

        with pytest.raises(Exception, match="Recursion limit"):
            run(desk.again(claim))


class TestAnAttemptThatLostItsLease:
    def test_stops_and_writes_nothing_more(self, desk: Desk) -> None:
        reached: list[str] = []

        def lose(_state: Any) -> dict[str, Any]:
            Task.objects.update(fence=2)
            return {"trail": ["x"]}

        definition = agent("loser", line(("lose", lose), ("next", lambda _state: reached.append("next"))))
        claim = desk.claim(definition, {"trail": []})

        with pytest.raises(LeaseLost):
            run(claim)

        assert reached == []
        assert desk.events(claim) == []


class TestARunThatIsToldToStop:
    @pytest.mark.parametrize("reason", ["cancelled", "deadline", "stopping"])
    def test_stops_before_its_next_node(self, desk: Desk, reason: Any) -> None:
        control, reached = RunControl(), []
        definition = agent(
            "stopped",
            line(("first", lambda _state: control.cancel(reason)), ("next", lambda _state: reached.append(1))),
        )
        claim = desk.claim(definition, {"trail": []})

        with pytest.raises(RunInterrupted) as caught:
            execute(claim, control)

        assert caught.value.reason == reason
        assert reached == []

    def test_stops_in_the_middle_of_an_answer(self, desk: Desk, answers: Answers) -> None:
        control, asked = RunControl(), []

        def before_piece(number: int) -> None:
            asked.append(number)
            if number == 2:
                control.cancel("cancelled")

        answers("one two three four five six", before_piece=before_piece)
        claim = desk.claim(Clerk)
        with pytest.raises(RunInterrupted):
            execute(claim, control)

        text = "".join(data["text"] for kind, data in desk.events(claim) if kind == "message")
        assert "one two three four".startswith(text)
        assert asked == [0, 1, 2]

    def test_fails_with_what_kept_its_events_from_being_written(
        self, desk: Desk, answers: Answers, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        def refuse(*_given: Any) -> None:
            raise OperationalError("gone")

        def before_piece(number: int) -> None:
            if number:
                until(lambda: bool(control.reason))

        monkeypatch.setattr("agents.runtime.execution.append_events", refuse)
        control = RunControl()
        answers("one two three", before_piece=before_piece)

        with pytest.raises(OperationalError, match="gone") as caught:
            execute(desk.claim(Clerk), control)
        assert failure_of(caught.value).retryable

    def test_stops_in_the_middle_of_an_answer_when_its_events_are_refused(self, desk: Desk, answers: Answers) -> None:
        control, asked = RunControl(), []

        def before_piece(number: int) -> None:
            asked.append(number)
            if number == 1:
                until(lambda: control.reason == "lease_lost")

        answers("one two three four five six", before_piece=before_piece)
        claim = desk.claim(Clerk)
        Task.objects.update(fence=2)
        with pytest.raises(LeaseLost):
            execute(claim, control)

        assert asked == [0, 1]
        assert desk.events(claim) == []


class TestSpans:
    def test_tell_task_step_and_tool_apart_and_belong_together(self, desk: Desk, answers: Answers) -> None:
        around_the_model: list[str] = []
        call = {"id": "1", "name": "add", "args": {"a": 2, "b": 3}}
        answers(
            AIMessage("", tool_calls=[call]),
            "five",
            before_piece=lambda _number: around_the_model.append(current_span_id()),
        )
        flush_spans()
        claim = desk.claim(Adder)
        run(claim)
        flush_spans()

        spans = {span.span_id: span for span in Span.objects.filter(trace_id=claim.trace_id)}
        assert {(span.kind, span.task_id) for span in spans.values()} == {
            (kind, claim.task_id) for kind in ("task", "step", "tool")
        }
        parents = {"task": "", "step": "task", "tool": "step"}
        for span in spans.values():
            assert (spans[span.parent_id].kind if span.parent_id else "") == parents[span.kind]
        assert sorted(span.name for span in spans.values() if span.kind == "tool") == ["add"]
        assert [spans[span_id].kind for span_id in around_the_model] == ["step", "step"]
