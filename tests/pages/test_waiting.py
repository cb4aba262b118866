"""Pages on which people let tasks go on: approvals, answers, reviews."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
from django.test import Client

from accounts.models import User
from agents.definitions.models import Agent
from agents.memory.services import post_message, start_conversation
from agents.tasks import services as tasks
from agents.tasks.data import Failure
from agents.tasks.models import Task, WaitingFor
from agents.tools.approvals import wait_for_approvals
from agents.tools.models import Approval, ToolCall
from tests.api.conftest import approval_of

pytestmark = pytest.mark.django_db


def _claimed(owner: User, agent: Agent, queue: str = "") -> tuple[Task, Any]:
    task = tasks.submit(owner=owner, agent=agent, input="hello", queue=queue).task
    claim = tasks.claim(queues=[task.queue], worker="test")
    assert claim is not None
    return task, claim


def ask(claim: Any, *questions: str) -> None:
    """Lets the task ask this."""
    asked = [{"id": f"{number:032x}", "value": text} for number, text in enumerate(questions)]
    tasks.wait(claim=claim, waiting_for=WaitingFor.INPUT, seconds=60, data={"questions": asked})


@pytest.fixture
def asking(member: User, agent: Agent) -> Callable[..., Task]:
    """A task of the member's that waits for answers."""

    def make(*questions: str) -> Task:
        task, claim = _claimed(member, agent)
        ask(claim, *questions)
        return task

    return make


@pytest.fixture
def waiting(member: User, agent: Agent) -> Approval:
    """What a task of the member's waits for."""
    task, claim = _claimed(member, agent)
    approval = approval_of(task)
    wait_for_approvals(claim=claim, data={})
    return approval


@pytest.fixture
def unfinished(member: User, agent: Agent) -> ToolCall:
    """A call of a task of the member's that was begun and not seen to end."""
    task, claim = _claimed(member, agent)
    tasks.review(claim=claim, failure=Failure("ToolCallUnfinished", "Who knows."))
    return ToolCall.objects.create(
        task=task, key="k", name="pay", arguments={"to": "Ana"}, effects="once", state="needs_review", fence=1, times=1
    )


def signed_in(user: User) -> Client:
    client = Client()
    client.force_login(user)
    return client


def test_an_answer_lets_a_task_go_on(member: User, asking: Callable[..., Task]) -> None:
    task, client = asking("May I?"), signed_in(member)
    page = client.get(f"/tasks/{task.pk}/").content.decode()
    assert "It waits for an answer" in page
    assert "May I?" in page
    answer = client.post(f"/tasks/{task.pk}/answer/", {"value_0": "Yes."})
    assert (answer.status_code, answer["Location"]) == (302, f"/tasks/{task.pk}/")
    task.refresh_from_db()
    assert (task.status, task.resume_with) == ("queued", "Yes.")


def test_answers_may_be_json_and_each_question_has_its_own(member: User, asking: Callable[..., Task]) -> None:
    task, client = asking("Left?", "Right?"), signed_in(member)
    address = f"/tasks/{task.pk}/answer/"
    wrong = client.post(address, {"value_0": "{", "value_1": "1", "as_json": "on"})
    assert wrong.status_code == 400
    assert "This is not JSON" in wrong.content.decode()
    client.post(address, {"value_0": '{"go": true}', "value_1": "1", "as_json": "on"})
    task.refresh_from_db()
    assert task.resume_with == {f"{0:032x}": {"go": True}, f"{1:032x}": 1}


def test_an_answer_leads_back_to_the_page_it_came_from_and_nowhere_else(
    member: User, asking: Callable[..., Task]
) -> None:
    for given, leads_to in (("/chat/", "/chat/"), ("https://evil.example/", None), ("//evil.example/", None)):
        task = asking("May I?")
        answer = signed_in(member).post(f"/tasks/{task.pk}/answer/", {"value_0": "x", "next": given})
        assert answer["Location"] == (leads_to or f"/tasks/{task.pk}/")


def test_only_those_who_may_operate_a_task_answer_it(
    outsider: User, operator: User, asking: Callable[..., Task]
) -> None:
    task = asking("May I?")
    assert signed_in(outsider).post(f"/tasks/{task.pk}/answer/", {"value_0": "x"}).status_code == 404
    assert signed_in(operator).post(f"/tasks/{task.pk}/answer/", {"value_0": "x"}).status_code == 302


def test_an_approver_is_told_and_approves(operator: User, waiting: Approval) -> None:
    client = signed_in(operator)
    page = client.get("/approvals/").content.decode()
    assert 'nav-count">1<' in page
    assert "amount=5" in page
    shown = client.get(f"/approvals/{waiting.pk}/").content.decode()
    assert "&quot;to&quot;: &quot;Ana&quot;" in shown
    form = {"arguments": '{"to": "Ana", "amount": 5}', "reason": "due", "decision": "approve"}
    assert client.post(f"/approvals/{waiting.pk}/", form).status_code == 302
    waiting.refresh_from_db()
    assert (waiting.state, waiting.decided_by, waiting.reason) == ("approved", operator, "due")
    assert "nav-count" not in client.get("/approvals/").content.decode()
    assert Task.objects.get(pk=waiting.task_id).status == "queued"


def test_what_stands_on_the_screen_is_what_will_be_done(operator: User, waiting: Approval) -> None:
    client, address = signed_in(operator), f"/approvals/{waiting.pk}/"
    wrong = client.post(address, {"arguments": '{"to": 7}', "decision": "approve"})
    assert wrong.status_code == 400
    client.post(address, {"arguments": '{"to": "Bo", "amount": 1}', "decision": "approve"})
    waiting.refresh_from_db()
    assert (waiting.state, waiting.edited_arguments) == ("edited", {"to": "Bo", "amount": 1})


def test_a_refusal_needs_no_right_arguments(operator: User, waiting: Approval) -> None:
    form = {"arguments": "{}", "decision": "refuse", "reason": "Not today."}
    signed_in(operator).post(f"/approvals/{waiting.pk}/", form)
    waiting.refresh_from_db()
    assert (waiting.state, waiting.reason) == ("refused", "Not today.")


def test_an_owner_sees_what_waits_and_may_not_decide(member: User, outsider: User, waiting: Approval) -> None:
    client, address = signed_in(member), f"/approvals/{waiting.pk}/"
    assert "has to say so" in client.get(address).content.decode()
    assert client.post(address, {"arguments": "{}", "decision": "refuse"}).status_code == 403
    assert "It waits for an approval" in client.get(f"/tasks/{waiting.task_id}/").content.decode()
    assert signed_in(outsider).get(address).status_code == 404


def test_a_call_that_nobody_saw_end_is_decided_on_its_page(member: User, unfinished: ToolCall) -> None:
    client = signed_in(member)
    page = client.get(f"/tasks/{unfinished.task_id}/").content.decode()
    assert "A person has to decide" in page
    address = f"/tasks/{unfinished.task_id}/calls/{unfinished.pk}/"
    assert address in page
    assert "Was it done?" in client.get(address).content.decode()
    assert client.post(address, {"decision": "done", "result": "{", "as_json": "on"}).status_code == 400
    assert client.post(address, {"decision": "done", "result": "paid"}).status_code == 302
    unfinished.refresh_from_db()
    assert (unfinished.state, unfinished.value, unfinished.task.status) == ("succeeded", "paid", "queued")


def test_a_task_in_review_has_failed_when_a_person_says_so(member: User, unfinished: ToolCall) -> None:
    client, address = signed_in(member), f"/tasks/{unfinished.task_id}/review/"
    # It cannot go on before somebody has said what became of its call.
    assert client.post(address, {"decision": "continue"}).status_code == 400
    assert client.post(address, {"decision": "fail", "reason": "So be it."}).status_code == 302
    task = Task.objects.get(pk=unfinished.task_id)
    assert (task.status, task.error_message) == ("failed", "So be it.")


def test_a_task_in_review_for_another_reason_goes_on(member: User, agent: Agent) -> None:
    task, claim = _claimed(member, agent)
    tasks.review(claim=claim, failure=Failure("CodeChanged", "It is another one now."))
    signed_in(member).post(f"/tasks/{task.pk}/review/", {"decision": "continue"})
    assert Task.objects.get(pk=task.pk).status == "queued"


def test_the_chat_asks_where_the_answer_would_stand(member: User, agent: Agent) -> None:
    conversation = start_conversation(owner=member, agent=agent)
    posted = post_message(conversation=conversation, text="Do it.", owner=member)
    claim = tasks.claim(queues=[posted.task.queue], worker="test")
    ask(claim, "Which of them?")
    client = signed_in(member)
    page = client.get(f"/chat/{conversation.pk}/").content.decode()
    assert "Which of them?" in page
    back = f"/chat/{conversation.pk}/#turn-{posted.message.pk}"
    assert f'name="next" value="{back}"' in page
    answer = client.post(f"/tasks/{posted.task.pk}/answer/", {"value_0": "Both.", "next": back})
    assert answer["Location"] == back


class TestTheAdmin:
    def test_decides_about_an_approval(self, operator: User, waiting: Approval) -> None:
        client, address = signed_in(operator), f"/admin/agents_tools/approval/{waiting.pk}/change/"
        assert "pay" in client.get("/admin/agents_tools/approval/").content.decode()
        assert "What will be done" in client.get(address).content.decode()
        client.post(address, {"arguments": '{"to": "Ana", "amount": 5}', "decision": "approve"})
        waiting.refresh_from_db()
        assert waiting.state == "approved"

    def test_shows_a_tasks_calls_and_decides_about_them(self, operator: User, unfinished: ToolCall) -> None:
        client = signed_in(operator)
        page = client.get(f"/admin/agents_tasks/task/{unfinished.task_id}/change/").content.decode()
        assert "It was done" in page
        address = f"/admin/agents_tools/toolcall/{unfinished.pk}/done/"
        assert "Was this call done?" in client.get(address).content.decode()
        client.post(address, {"result": "paid"})
        unfinished.refresh_from_db()
        assert unfinished.value == "paid"
        assert client.get(f"/admin/agents_tools/toolcall/{unfinished.pk}/change/").status_code == 200
        assert client.get("/admin/agents_tools/toolcall/").status_code == 200
