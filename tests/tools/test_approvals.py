"""Tools that need a person's word: what the task does meanwhile, and what every answer brings about."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from datetime import timedelta
from typing import Any

import pytest
from django.utils import timezone

from accounts.audit import SYSTEM, Actor
from accounts.models import AuditEvent, User
from agents.definitions import AgentDefinition
from agents.tasks import services as tasks
from agents.tasks.exceptions import IllegalTransition
from agents.tasks.models import Attempt, Task, TaskEvent
from agents.testing import Reply, call
from agents.tools import approvals
from agents.tools.exceptions import AlreadyDecided, InvalidArguments
from agents.tools.models import Approval, ToolCall
from agents.tools.traits import declare
from tests.tools.clerk import employed, status_of, submitted, text_of, work

pytestmark = pytest.mark.django_db(transaction=True)

paid: list[tuple[str, int]] = []
noted: list[str] = []


@declare(needs_approval=True)
def pay(to: str, amount: int) -> str:
    """Pays somebody.

    Args:
        to: whom
        amount: how much
    """
    paid.append((to, amount))
    return f"{to} has {amount}"


@declare(effects="idempotent")
def note(text: str) -> str:
    """Notes something."""
    noted.append(text)
    return "noted"


class Payer(AgentDefinition):
    slug = "tests-payer"
    tools = (pay, note)


class Cautious(AgentDefinition):
    slug = "tests-cautious"
    tools = (note,)
    policy = {"approve": ["note"]}


@pytest.fixture(autouse=True)
def _nothing_done() -> None:
    paid.clear()
    noted.clear()


def last_heard(request: Any) -> Reply:
    """A model that repeats what its tools have told it."""
    return Reply(text=" | ".join(answer for _name, answer in request.tool_answers))


@pytest.fixture
def waiting(member: User) -> Iterator[Callable[..., Task]]:
    """A task that waits for somebody to say whether Ana is paid."""
    with employed(Payer, call("pay", to="Ana", amount=5), last_heard) as agent:

        def make() -> Task:
            task = submitted(agent, member)
            assert work(task) == "waiting"
            return task

        yield make


def decide(task: Task, user: User, decision: str, **said: Any) -> Approval:
    approval = Approval.objects.get(task=task)
    return approvals.decide(approval=approval, decision=decision, user=user, actor=Actor(user_id=user.pk), **said)


def test_a_task_waits_for_its_approval_and_holds_nothing(waiting: Callable[..., Task]) -> None:
    task = waiting()
    approval = Approval.objects.get(task=task)
    assert (task.waiting_for, task.lease_expires_at) == ("approval", None)
    assert task.waits_until == pytest.approx(approval.expires_at, abs=timedelta(seconds=2))
    assert (approval.tool, approval.arguments, approval.state) == ("pay", {"to": "Ana", "amount": 5}, "pending")
    assert approval.description.startswith("Pays somebody")
    assert paid == []
    assert [*Attempt.objects.filter(task=task).values_list("outcome", flat=True)] == ["waiting"]
    assert tasks.claim(queues=[task.queue], worker="idle") is None
    last = TaskEvent.objects.filter(task=task).order_by("number").last()
    assert last is not None
    assert last.data == {"status": "waiting", "waiting_for": "approval", "tools": ["pay"]}


def test_an_approved_call_is_made_once(waiting: Callable[..., Task], operator: User) -> None:
    task = waiting()
    decide(task, operator, "approve", reason="It is due.")
    assert status_of(task) == "queued"
    assert work(task) == "succeeded"
    assert text_of(task) == "Ana has 5"
    assert paid == [("Ana", 5)]
    assert ToolCall.objects.get(task=task).state == "succeeded"
    told = AuditEvent.objects.get(verb="approval.decide")
    assert (told.actor_id, told.changes["decision"]) == (operator.pk, "approve")


def test_changed_arguments_are_what_the_tool_gets(waiting: Callable[..., Task], operator: User) -> None:
    task = waiting()
    done = decide(task, operator, "edit", arguments={"to": "Ana", "amount": 3})
    assert done.state == "edited"
    assert work(task) == "succeeded"
    assert paid == [("Ana", 3)]


@pytest.mark.parametrize(
    "arguments", [{"to": "Ana", "amount": "much"}, {"amount": 3}, {"to": "Ana", "amount": 3, "by": "post"}, ["Ana"]]
)
def test_arguments_that_do_not_fit_are_refused(waiting: Callable[..., Task], operator: User, arguments: Any) -> None:
    task = waiting()
    with pytest.raises(InvalidArguments):
        decide(task, operator, "edit", arguments=arguments)
    assert status_of(task) == "waiting"
    assert Approval.objects.get(task=task).state == "pending"


def test_a_refusal_is_told_to_the_model_with_its_reason(waiting: Callable[..., Task], operator: User) -> None:
    task = waiting()
    decide(task, operator, "refuse", reason="Ana was paid yesterday.")
    assert work(task) == "succeeded"
    assert text_of(task) == "A person refused this call; it was not made. Ana was paid yesterday."
    assert paid == []


def test_what_was_decided_stays_decided(waiting: Callable[..., Task], operator: User) -> None:
    task = waiting()
    decide(task, operator, "refuse")
    with pytest.raises(AlreadyDecided):
        decide(task, operator, "approve")
    assert work(task) == "succeeded"
    assert paid == []


def let_time_pass(task: Task) -> None:
    past = timezone.now() - timedelta(seconds=1)
    Approval.objects.filter(task=task).update(expires_at=past)
    Task.objects.filter(pk=task.pk).update(waits_until=past)


def test_when_nobody_comes_the_model_is_told(waiting: Callable[..., Task], operator: User) -> None:
    task = waiting()
    let_time_pass(task)
    with pytest.raises(AlreadyDecided):
        decide(task, operator, "approve")
    assert tasks.sweep().expired == 1
    assert work(task) == "succeeded"
    assert text_of(task) == "Nobody approved this call in time; it was not made."
    assert Approval.objects.get(task=task).state == "expired"
    assert AuditEvent.objects.filter(verb="approval.expire").count() == 1
    assert paid == []


def test_when_nobody_comes_the_task_fails_if_its_agent_wants_that(member: User) -> None:
    strict = type("Strict", (Payer,), {"policy": {"on_expired_approval": "fail"}, "__module__": __name__})
    with employed(strict, call("pay", to="Ana", amount=5)) as agent:
        task = submitted(agent, member)
        assert work(task) == "waiting"
        let_time_pass(task)
        tasks.sweep()
        assert status_of(task) == "failed"
    assert task.error_type == "ApprovalExpired"


def test_several_calls_of_one_step_wait_for_the_last_decision(member: User, operator: User) -> None:
    calls = Reply(
        calls=(("pay", {"to": "Ana", "amount": 1}), ("note", {"text": "n"}), ("pay", {"to": "Bo", "amount": 2}))
    )
    with employed(Payer, calls, last_heard) as agent:
        task = submitted(agent, member)
        assert work(task) == "waiting"
        # What needs nobody's word is done already, and not done again.
        assert noted == ["n"]
        first, second = Approval.objects.filter(task=task).order_by("created_at")
        approvals.decide(approval=first, decision="approve", user=operator, actor=SYSTEM)
        assert status_of(task) == "waiting"
        approvals.decide(approval=second, decision="approve", user=operator, actor=SYSTEM)
        assert status_of(task) == "queued"
        assert work(task) == "succeeded"
    assert sorted(paid) == [("Ana", 1), ("Bo", 2)]
    assert noted == ["n"]
    assert text_of(task) == "Ana has 1 | noted | Bo has 2"


def test_an_agents_policy_asks_for_approval_too(member: User, operator: User) -> None:
    with employed(Cautious, call("note", text="x"), last_heard) as agent:
        task = submitted(agent, member)
        assert work(task) == "waiting"
        assert noted == []
        decide(task, operator, "approve")
        assert work(task) == "succeeded"
    assert noted == ["x"]


def test_a_decision_before_the_attempt_has_ended_is_not_lost(
    waiting: Callable[..., Task], operator: User, monkeypatch: pytest.MonkeyPatch
) -> None:
    def decide_first(**given: Any) -> str:
        # Another connection could not write here on SQLite: as if it had, a moment earlier.
        approval = Approval.objects.get(task=given["claim"].task_id)
        approvals._write(approval, Approval.State.APPROVED, user=operator)
        return tasks.wait(**given)

    monkeypatch.setattr(approvals, "wait", decide_first)
    with pytest.raises(AssertionError):
        waiting()
    task = Task.objects.get()
    assert task.status == "queued"
    assert work(task) == "succeeded"
    assert paid == [("Ana", 5)]


def test_a_task_that_waits_for_approval_is_cancelled_at_once(waiting: Callable[..., Task], operator: User) -> None:
    task = waiting()
    assert Approval.objects.pending().count() == 1
    tasks.cancel(task=task, actor=SYSTEM)
    assert status_of(task) == "cancelled"
    assert Approval.objects.pending().count() == 0
    assert Approval.objects.select_related("task").get().standing == "no longer needed"
    with pytest.raises(AlreadyDecided):
        decide(task, operator, "approve")
    assert paid == []


def test_an_approval_is_no_answer_to_a_question(waiting: Callable[..., Task]) -> None:
    with pytest.raises(IllegalTransition):
        tasks.resume(task=waiting(), value="yes", actor=SYSTEM)


def test_secrets_are_not_shown_and_still_reach_the_tool(member: User, operator: User) -> None:
    used: list[tuple[str, str]] = []

    @declare(needs_approval=True)
    def sign_in(password: str, place: str) -> str:
        """Signs in."""
        used.append((password, place))
        return "in"

    definition = type("Guest", (AgentDefinition,), {"slug": "tests-guest", "tools": (sign_in,), "__module__": __name__})
    with employed(definition, call("sign_in", password="s3cret", place="here"), "done") as agent:
        task = submitted(agent, member)
        assert work(task) == "waiting"
        approval = Approval.objects.get(task=task)
        assert approval.arguments == {"password": "[masked]", "place": "here"}
        decide(task, operator, "edit", arguments={"password": "[masked]", "place": "there"})
        assert work(task) == "succeeded"
    assert used == [("s3cret", "there")]
