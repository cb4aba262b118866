"""Runs that stop in the middle: for an answer, for tasks of their own, after a deploy."""

from __future__ import annotations

import operator
from collections.abc import Iterator
from contextlib import contextmanager
from decimal import Decimal
from typing import Annotated, Any, TypedDict

import pytest
from langgraph.graph import END, START, StateGraph
from langgraph.types import interrupt

from accounts.audit import SYSTEM
from accounts.limits import create_quota
from accounts.models import User
from agents.definitions import AgentDefinition, registry
from agents.definitions.models import Agent
from agents.definitions.synchronisation import sync_agent
from agents.runtime.delegating import delegate, delegate_all
from agents.runtime.exceptions import ChildFailed
from agents.runtime.graphs import forget_graphs
from agents.tasks import services as tasks
from agents.tasks.models import Task, TaskEvent
from agents.tools.models import ToolCall
from tests.tools.clerk import crash, die, submitted, work

pytestmark = pytest.mark.django_db(transaction=True)


class Trail(TypedDict):
    trail: Annotated[list[Any], operator.add]


EMPTY: dict[str, Any] = {"trail": []}
# Made here, the graphs of two versions have the same source; this is what tells them apart.
DEPLOYED = {"system_prompt": "Deployed anew."}


def graph_of(*steps: Any) -> StateGraph[Any]:
    """Nodes one after another; a list of nodes is side by side."""
    graph: StateGraph[Any] = StateGraph(Trail)
    before = [START]
    for step in steps:
        nodes = step if isinstance(step, list) else [step]
        for node in nodes:
            graph.add_node(node.__name__, node)
            for each in before:
                graph.add_edge(each, node.__name__)
        before = [node.__name__ for node in nodes]
    for each in before:
        graph.add_edge(each, END)
    return graph


@contextmanager
def installed(slug: str, *steps: Any, **attributes: Any) -> Iterator[Agent]:
    """While inside, there is an agent with this graph."""
    made = {"slug": slug, "graph": lambda _self, _context: graph_of(*steps), "__module__": __name__, **attributes}
    definition = type(slug, (AgentDefinition,), made)
    with registry.replaced(definition):
        sync_agent(definition)
        yield Agent.objects.select_related("current_version").get(slug=slug)
    forget_graphs()


def waits(task: Task) -> dict[str, Any]:
    """What the task has said when it began to wait."""
    said = TaskEvent.objects.filter(task=task, data__status="waiting").order_by("number").last()
    assert said is not None
    found: dict[str, Any] = said.data
    return found


def first(_state: Any) -> Any:
    """A step before the others."""
    return {"trail": ["first"]}


def asks(_state: Any) -> Any:
    """Asks a person."""
    return {"trail": [interrupt("May I?")]}


class TestAQuestion:
    def test_waits_for_its_answer_without_a_worker(self, member: User) -> None:
        with installed("asker", first, asks) as agent:
            task = submitted(agent, member, EMPTY)
            assert work(task) == "waiting"
            assert (task.waiting_for, task.waits_until is not None) == ("input", True)
            assert [question["value"] for question in waits(task)["questions"]] == ["May I?"]
            tasks.resume(task=task, value={"yes": True}, actor=SYSTEM)
            assert work(task) == "succeeded"
        assert task.result == {"trail": ["first", {"yes": True}]}

    @pytest.mark.parametrize("answer", [None, False, "", 0, []])
    def test_may_be_answered_with_next_to_nothing(self, member: User, answer: Any) -> None:
        with installed("asker", asks) as agent:
            task = submitted(agent, member, EMPTY)
            work(task)
            tasks.resume(task=task, value=answer, actor=SYSTEM)
            assert work(task) == "succeeded"
        assert task.result == {"trail": [answer]}

    def test_of_which_there_are_two_in_one_node_is_not_given_the_first_ones_answer(self, member: User) -> None:
        def asks_twice(_state: Any) -> Any:
            return {"trail": [interrupt("One?"), interrupt("Two?")]}

        with installed("twice", asks_twice) as agent:
            task = submitted(agent, member, EMPTY)
            work(task)
            tasks.resume(task=task, value="one", actor=SYSTEM)
            assert work(task) == "waiting"
            assert [question["value"] for question in waits(task)["questions"]] == ["Two?"]
            tasks.resume(task=task, value="two", actor=SYSTEM)
            assert work(task) == "succeeded"
        assert task.result == {"trail": ["one", "two"]}

    def test_and_another_beside_it_have_each_an_answer(self, member: User) -> None:
        def left(_state: Any) -> Any:
            return {"trail": [("left", interrupt("Left?"))]}

        def right(_state: Any) -> Any:
            return {"trail": [("right", interrupt("Right?"))]}

        with installed("beside", [left, right]) as agent:
            task = submitted(agent, member, EMPTY)
            work(task)
            names = {question["value"]: question["id"] for question in waits(task)["questions"]}
            tasks.resume(task=task, value={names["Left?"]: "l", names["Right?"]: "r"}, actor=SYSTEM)
            assert work(task) == "succeeded"
        assert task.result is not None
        assert sorted(map(tuple, task.result["trail"])) == [("left", "l"), ("right", "r")]

    def test_keeps_its_answer_through_a_crash(self, member: User) -> None:
        deaths = [True]

        def asks_and_dies(_state: Any) -> Any:
            answer = interrupt("May I?")
            if deaths:
                deaths.pop()
                die()
            return {"trail": [answer]}

        with installed("mortal", first, asks_and_dies) as agent:
            task = submitted(agent, member, EMPTY)
            work(task)
            tasks.resume(task=task, value="yes", actor=SYSTEM)
            crash(task)
            assert work(task) == "succeeded"
        assert task.result == {"trail": ["first", "yes"]}

    def test_that_comes_later_is_not_given_an_answer_that_was_taken_before_a_crash(self, member: User) -> None:
        deaths = [True]

        def dies(_state: Any) -> Any:
            if deaths:
                deaths.pop()
                die()
            return {"trail": [interrupt("And now?")]}

        with installed("later", asks, dies) as agent:
            task = submitted(agent, member, EMPTY)
            work(task)
            tasks.resume(task=task, value="yes", actor=SYSTEM)
            crash(task)
            assert work(task) == "waiting"
            assert [question["value"] for question in waits(task)["questions"]] == ["And now?"]
            tasks.resume(task=task, value="later", actor=SYSTEM)
            assert work(task) == "succeeded"
        assert task.result == {"trail": ["yes", "later"]}

    def test_within_a_nested_graph_is_answered_too(self, member: User) -> None:
        inner = graph_of(asks).compile()

        def build(_self: Any, _context: Any) -> Any:
            graph: StateGraph[Any] = StateGraph(Trail)
            return graph.add_node("inner", inner).add_edge(START, "inner").add_edge("inner", END)

        with installed("nested-asker", graph=build) as agent:
            task = submitted(agent, member, EMPTY)
            assert work(task) == "waiting"
            tasks.resume(task=task, value="yes", actor=SYSTEM)
            assert work(task) == "succeeded"
        assert task.result == {"trail": ["yes"]}


def helps(state: Any) -> Any:
    """What the other agent does."""
    return {"trail": ["helped"]}


def fails(_state: Any) -> Any:
    """What an agent does that cannot."""
    raise NotImplementedError("no hands")


def works_on(parent: Task) -> None:
    """Somebody works on all children of this task."""
    for child in Task.objects.filter(parent=parent, status="queued"):
        claim = tasks.claim(queues=[child.queue], worker="tests")
        assert claim is not None
        from agents.worker import runs
        from agents.worker.keeper import Keeper

        runs.run(claim, Keeper())


class TestDelegating:
    def test_waits_for_the_child_and_gets_its_result(self, member: User) -> None:
        def asks_helper(_state: Any) -> Any:
            return {"trail": [delegate("helper", EMPTY)["trail"]]}

        with installed("helper", helps), installed("boss", first, asks_helper) as agent:
            task = submitted(agent, member, EMPTY, priority="high")
            assert work(task) == "waiting"
            child = Task.objects.get(parent=task)
            assert (task.waiting_for, child.owner, child.priority) == ("children", member, task.priority)
            works_on(task)
            assert work(task) == "succeeded"
        assert task.result == {"trail": ["first", ["helped"]]}
        assert Task.objects.filter(parent=task).count() == 1

    def test_asks_several_at_once(self, member: User) -> None:
        def asks_all(_state: Any) -> Any:
            return {"trail": [each["trail"] for each in delegate_all([("helper", EMPTY)] * 3)]}

        with installed("helper", helps), installed("boss", asks_all) as agent:
            task = submitted(agent, member, EMPTY)
            work(task)
            assert Task.objects.filter(parent=task).count() == 3
            works_on(task)
            assert work(task) == "succeeded"
        assert task.result == {"trail": [["helped"]] * 3}

    def test_one_after_the_other_in_one_node(self, member: User) -> None:
        def asks_twice(_state: Any) -> Any:
            return {"trail": [delegate("helper", EMPTY), delegate("helper", EMPTY)]}

        with installed("helper", helps), installed("boss", asks_twice) as agent:
            task = submitted(agent, member, EMPTY)
            for children in (1, 2):
                assert work(task) == "waiting"
                assert Task.objects.filter(parent=task).count() == children
                works_on(task)
            assert work(task) == "succeeded"

    def test_spends_the_quota_of_its_owner(self, member: User, settings: Any) -> None:
        settings.TASK_SETTINGS_CACHE_SECONDS = 0
        create_quota(subject="user:member", unit="requests", period="month", amount=Decimal(2), actor=SYSTEM)

        def asks_two(_state: Any) -> Any:
            return {"trail": delegate_all([("helper", EMPTY)] * 2)}

        with installed("helper", helps), installed("boss", asks_two) as agent:
            task = submitted(agent, member, EMPTY, max_attempts=1)
            work(task)
            assert (task.status, task.error_type) == ("failed", "NoQuotaLeft")
        assert Task.objects.filter(parent=task).count() == 1

    def test_submits_a_child_once_however_often_its_parent_dies(self, member: User) -> None:
        deaths = [True]

        def asks_and_dies(_state: Any) -> Any:
            found = delegate("helper", EMPTY)
            if deaths:
                deaths.pop()
                die()
            return {"trail": [found["trail"]]}

        with installed("helper", helps), installed("boss", asks_and_dies) as agent:
            task = submitted(agent, member, EMPTY)
            work(task)
            works_on(task)
            crash(task)
            assert work(task) == "succeeded"
        assert Task.objects.filter(parent=task).count() == 1
        assert task.result == {"trail": [["helped"]]}

    def test_raises_when_the_child_fails_unless_that_is_asked_for(self, member: User) -> None:
        def asks_anyway(_state: Any) -> Any:
            (found,) = delegate_all([("helper", EMPTY)], errors="return")
            assert isinstance(found, ChildFailed)
            return {"trail": [found.status]}

        def asks_helper(_state: Any) -> Any:
            return {"trail": [delegate("helper", EMPTY)]}

        with (
            installed("helper", fails),
            installed("boss", asks_anyway) as boss,
            installed("strict", asks_helper) as strict,
        ):
            for agent, status in ((boss, "succeeded"), (strict, "failed")):
                task = submitted(agent, member, EMPTY)
                work(task)
                works_on(task)
                assert work(task) == status
        assert (task.error_type, "no hands" in task.error_message) == ("ChildFailed", True)

    def test_children_are_cancelled_with_their_parent(self, member: User) -> None:
        def asks_helper(_state: Any) -> Any:
            return {"trail": [delegate("helper", EMPTY)]}

        with installed("helper", helps), installed("boss", asks_helper) as agent:
            task = submitted(agent, member, EMPTY)
            work(task)
            tasks.cancel(task=task, actor=SYSTEM)
            tasks.sweep()
        assert Task.objects.get(parent=task).status == "cancelled"


class TestChangedCode:
    @pytest.mark.parametrize(("choice", "trail"), [("restart", ["new first", "yes"]), ("continue", ["first", "yes"])])
    def test_restarts_or_continues_as_the_agent_wants(self, member: User, choice: str, trail: list[str]) -> None:
        with installed("deployed", first, asks, policy={"on_changed_code": choice}) as agent:
            task = submitted(agent, member, EMPTY)
            assert work(task) == "waiting"
            tasks.resume(task=task, value="yes", actor=SYSTEM)
        with installed("deployed", new_first, asks, policy={"on_changed_code": choice}, **DEPLOYED):
            forget_graphs()
            status = work(task)
            if status == "waiting":
                tasks.resume(task=task, value="yes", actor=SYSTEM)
                status = work(task)
            assert status == "succeeded"
        assert task.result == {"trail": trail}
        (told,) = TaskEvent.objects.filter(task=task, kind="custom")
        assert told.data["data"]["changed_code"]["then"] == choice

    def test_waits_for_a_review_and_continues_after_it(self, member: User) -> None:
        with installed("deployed", first, asks, policy={"on_changed_code": "review"}) as agent:
            task = submitted(agent, member, EMPTY)
            work(task)
            tasks.resume(task=task, value="yes", actor=SYSTEM)
        with installed("deployed", new_first, asks, policy={"on_changed_code": "review"}, **DEPLOYED):
            forget_graphs()
            assert work(task) == "needs_review"
            assert task.error_type == "CodeChanged"
            tasks.finish_review(task=task, decision="continue", actor=SYSTEM)
            # Its answer was spent on the attempt that was reviewed, so it asks again rather than guess.
            assert work(task) == "waiting"
            tasks.resume(task=task, value="yes", actor=SYSTEM)
            assert work(task) == "succeeded"
        assert task.result == {"trail": ["first", "yes"]}

    def test_is_reviewed_instead_of_restarted_when_tools_have_done_something(self, member: User) -> None:
        with installed("deployed", first, asks) as agent:
            task = submitted(agent, member, EMPTY)
            work(task)
            ToolCall.objects.create(task=task, key="k", name="pay", effects="once", state="succeeded", fence=1, times=1)
            tasks.resume(task=task, value="yes", actor=SYSTEM)
        with installed("deployed", new_first, asks, **DEPLOYED):
            forget_graphs()
            assert work(task) == "needs_review"


def new_first(_state: Any) -> Any:
    """The same step after a deploy."""
    return {"trail": ["new first"]}
