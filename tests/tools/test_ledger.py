"""What is written down of tool calls, and what a later attempt finds there."""

from __future__ import annotations

import uuid
from dataclasses import dataclass, field
from typing import Any

import pytest
from langchain_core.tools import BaseTool, StructuredTool, ToolException, tool

from accounts.audit import SYSTEM
from accounts.models import User
from agents.definitions import AgentDefinition
from agents.tasks import services as tasks
from agents.tasks.exceptions import IllegalTransition, LeaseLost
from agents.tasks.models import Task
from agents.testing import call
from agents.tools import reviews
from agents.tools.context import RunContext, idempotency_key, running
from agents.tools.exceptions import AlreadyDecided, InvalidTool, NoToolCall, UnknownToolCall
from agents.tools.langchain import build_tools
from agents.tools.models import ToolCall
from agents.tools.registry import register_tool
from agents.tools.traits import declare, traits_of
from tests.tools.clerk import crash, die, employed, submitted, text_of, work

pytestmark = pytest.mark.django_db(transaction=True)


class Paused(Exception):
    """What the runtime would raise."""


@dataclass
class Stage:
    """A task that is running, and a run of it that tools can be called in."""

    task: Task
    fence: int
    made_durable: list[int] = field(default_factory=list)
    place: str = "tools:1"

    def context(self, fence: int | None = None) -> RunContext:
        def pause(kind: str, data: dict[str, Any]) -> Any:
            raise Paused(kind, data)

        return RunContext(
            task_id=self.task.pk, fence=fence or self.fence, place=lambda: (self.place, 1), pause=pause,
            make_durable=lambda: self.made_durable.append(1), release=lambda: None,
        )  # fmt: skip

    def call(self, built: BaseTool, call_id: str = "call-1", *, fence: int | None = None, **arguments: Any) -> Any:
        with running(self.context(fence)):
            return built.invoke({"type": "tool_call", "id": call_id, "name": built.name, "args": arguments})


class Plain(AgentDefinition):
    slug = "tests-plain"


@pytest.fixture
def stage(member: User) -> Stage:
    with employed(Plain) as agent:
        task = submitted(agent, member)
    claim = tasks.claim(queues=[task.queue], worker="tests")
    assert claim is not None
    return Stage(task, claim.fence)


def built_of(function: Any) -> BaseTool:
    (built,) = build_tools([function.__name__], {function.__name__: function}, passing=(Paused,))
    return built


def test_a_tool_without_effects_costs_no_row(stage: Stage) -> None:
    calculate, clock = build_tools(["calculate", "current_time"], {})
    assert stage.call(calculate, expression="6*7").content == "42"
    assert "UTC" in stage.call(clock).content
    assert ToolCall.objects.count() == 0
    assert stage.made_durable == []


@pytest.mark.parametrize(
    ("result", "content"),
    [("text", "text"), (7, "7"), ({"a": [1, None]}, '{"a": [1, null]}'), ("n\x00l \ud800", "n\x00l \ud800"),
     (("a", 1), '["a", 1]'), (uuid.UUID(int=1), str(uuid.UUID(int=1))), (None, "null")],
)  # fmt: skip
def test_a_call_is_made_once_and_its_result_given_again(stage: Stage, result: Any, content: str) -> None:
    made: list[str] = []

    def act(what: str) -> Any:
        """Acts."""
        made.append(what)
        return result

    built = built_of(act)
    answers = [stage.call(built, what="x").content for _time in range(2)]
    assert answers == [content, content]
    assert made == ["x"]
    assert stage.made_durable == [1, 1]
    row = ToolCall.objects.get()
    assert (row.state, row.effects, row.times, row.arguments) == ("succeeded", "once", 1, {"what": "x"})


def test_an_error_is_told_again_too(stage: Stage) -> None:
    made: list[str] = []

    def act(what: str) -> str:
        """Acts."""
        made.append(what)
        raise LookupError("not there")

    answers = [stage.call(built_of(act), what="x") for _time in range(2)]
    assert [(each.status, each.content) for each in answers] == [("error", "LookupError: not there")] * 2
    assert made == ["x"]


def test_calls_are_told_apart_by_place_and_id(stage: Stage) -> None:
    made: list[str] = []

    def act(what: str) -> str:
        """Acts."""
        made.append(what)
        return what

    built = built_of(act)
    stage.call(built, "1", what="a")
    stage.call(built, "2", what="a")
    stage.place = "tools:2"
    # Some models number their calls from one in every answer.
    stage.call(built, "1", what="b")
    assert made == ["a", "a", "b"]


def test_calls_without_an_id_are_told_apart_by_arguments_and_number(stage: Stage) -> None:
    made: list[str] = []

    def act(what: str) -> str:
        """Acts."""
        made.append(what)
        return what

    built = built_of(act)
    for _attempt in range(2):
        with running(stage.context()):
            for what in ("a", "a", "b"):
                assert built.invoke({"what": what}) == what
    assert made == ["a", "a", "b"]


def test_whoever_has_lost_the_task_calls_nothing(stage: Stage) -> None:
    made: list[str] = []

    def act(what: str) -> str:
        """Acts."""
        made.append(what)
        return what

    with pytest.raises(LeaseLost):
        stage.call(built_of(act), what="x", fence=stage.fence + 1)
    assert made == []
    assert ToolCall.objects.count() == 0


def test_a_result_of_a_task_that_was_lost_meanwhile_is_not_written(stage: Stage) -> None:
    def act(what: str) -> str:
        """Acts."""
        Task.objects.update(fence=stage.fence + 1)
        return what

    with pytest.raises(LeaseLost):
        stage.call(built_of(act), what="x")
    assert ToolCall.objects.get().state == "started"


def test_the_idempotency_key_is_the_same_for_every_repetition(stage: Stage) -> None:
    keys: list[str] = []

    @declare(effects="idempotent")
    def act(what: str) -> str:
        """Acts."""
        keys.append(idempotency_key())
        if len(keys) == 1:
            raise KeyboardInterrupt
        return what

    built = built_of(act)
    with pytest.raises(KeyboardInterrupt):
        stage.call(built, what="x")
    stage.call(built, what="x")
    assert len(keys) == 2
    assert {*keys} == {str(ToolCall.objects.get().pk)}
    with pytest.raises(NoToolCall):
        idempotency_key()


def test_a_tool_that_stops_to_wait_begins_again(stage: Stage) -> None:
    made: list[str] = []

    def act(what: str) -> str:
        """Acts."""
        made.append(what)
        if len(made) == 1:
            raise Paused
        return what

    built = built_of(act)
    with pytest.raises(Paused):
        stage.call(built, what="x")
    assert stage.call(built, what="x").content == "x"
    assert made == ["x", "x"]


def test_a_result_that_cannot_be_kept_is_not_guessed(stage: Stage) -> None:
    def act(what: str) -> str:
        """Acts."""
        return "x" * 1_000_001

    built = built_of(act)
    assert len(stage.call(built, what="x").content) == 1_000_001
    with pytest.raises(Paused, match="review"):
        stage.call(built, what="x")
    assert ToolCall.objects.get().state == "needs_review"


def test_content_and_artifact_are_given_again(stage: Stage) -> None:
    def act(what: str) -> tuple[str, dict[str, int]]:
        """Acts."""
        return what, {"rows": 3}

    act_tool = StructuredTool.from_function(act, response_format="content_and_artifact")
    (built,) = build_tools(["act"], {"act": act_tool})
    for _time in range(2):
        answer = stage.call(built, what="x")
        assert (answer.content, answer.artifact) == ("x", {"rows": 3})


def test_a_tool_of_a_class_of_its_own_is_in_the_ledger_too(stage: Stage) -> None:
    made: list[str] = []

    class Sender(BaseTool):
        name: str = "send"
        description: str = "Sends."

        def _run(self, what: str) -> str:
            made.append(what)
            return what

    (built,) = build_tools(["send"], {"send": Sender()})
    assert [stage.call(built, what="x").content for _time in range(2)] == ["x", "x"]
    assert made == ["x"]


def test_outside_a_task_a_tool_is_just_called() -> None:
    def act(what: str) -> str:
        """Acts."""
        return what

    assert built_of(act).invoke({"what": "x"}) == "x"
    assert ToolCall.objects.count() == 0


class TestTraits:
    def test_are_said_by_decorators_and_by_metadata(self) -> None:
        @declare(effects="none", needs_approval=True)
        def declared(what: str) -> str:
            """Acts."""
            return what

        @tool
        def described(what: str) -> str:
            """Acts."""
            return what

        assert (traits_of(declared).effects, traits_of(declared).needs_approval) == ("none", True)
        assert traits_of(described).effects == "once"
        described.metadata = {"effects": "idempotent"}
        assert traits_of(described).effects == "idempotent"
        assert traits_of(tool(declared)).effects == "none"

    def test_that_make_no_sense_are_refused(self) -> None:
        with pytest.raises(InvalidTool):
            register_tool(effects="many")(lambda: None)


class Forgetful(AgentDefinition):
    slug = "tests-forgetful"


@pytest.fixture
def unfinished(member: User) -> Any:
    """A task whose call nobody saw end, and how often it was made."""
    made: list[str] = []

    def pay(to: str) -> str:
        """Pays."""
        made.append(to)
        if len(made) == 1:
            die()
        return f"{to} has it"

    definition = type("Forgetful", (Forgetful,), {"tools": (pay,), "__module__": __name__})
    with employed(definition, call("pay", to="Ana"), lambda asked: asked.tool_answers[0][1]) as agent:
        task = submitted(agent, member)
        crash(task)
        assert work(task) == "needs_review"
        yield task, made


class TestAReview:
    def test_shows_the_tool_and_its_arguments(self, unfinished: Any) -> None:
        task, made = unfinished
        assert task.error_type == "ToolCallUnfinished"
        assert "pay(to='Ana')" in task.error_message
        assert made == ["Ana"]

    def test_makes_the_call_again(self, unfinished: Any) -> None:
        task, made = unfinished
        (found,) = reviews.open_calls(task)
        reviews.review_call(task=task, call_id=found.pk, decision="retry", actor=SYSTEM)
        assert work(task) == "succeeded"
        assert (text_of(task), made) == ("Ana has it", ["Ana", "Ana"])

    def test_says_that_it_was_done(self, unfinished: Any) -> None:
        task, made = unfinished
        (found,) = reviews.open_calls(task)
        reviews.review_call(task=task, call_id=found.pk, decision="done", result="Ana had it", actor=SYSTEM)
        assert work(task) == "succeeded"
        assert (text_of(task), made) == ("Ana had it", ["Ana"])

    def test_comes_back_until_the_call_is_decided(self, unfinished: Any) -> None:
        task, made = unfinished
        tasks.finish_review(task=task, decision="continue", actor=SYSTEM)
        assert work(task) == "needs_review"
        assert made == ["Ana"]

    def test_is_refused_where_there_is_nothing_to_decide(self, unfinished: Any) -> None:
        task, _made = unfinished
        (found,) = reviews.open_calls(task)
        with pytest.raises(UnknownToolCall):
            reviews.review_call(task=task, call_id=uuid.uuid4(), decision="retry", actor=SYSTEM)
        with pytest.raises(IllegalTransition):
            reviews.review_call(task=task, call_id=found.pk, decision="perhaps", actor=SYSTEM)
        ToolCall.objects.filter(pk=found.pk).update(state="failed")
        with pytest.raises(AlreadyDecided):
            reviews.review_call(task=task, call_id=found.pk, decision="retry", actor=SYSTEM)
        tasks.finish_review(task=task, decision="fail", actor=SYSTEM)
        with pytest.raises(IllegalTransition):
            reviews.review_call(task=task, call_id=found.pk, decision="retry", actor=SYSTEM)


def test_a_tool_exception_is_kept_word_by_word(stage: Stage) -> None:
    def refuse(what: str) -> str:
        """Refuses."""
        raise ToolException("Not today.")

    assert [stage.call(built_of(refuse), what="x").content for _time in range(2)] == ["Not today."] * 2
