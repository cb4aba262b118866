"""People who let tasks go on, in a real browser: the chat that asks, the approval that is given."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from accounts.models import User
from agents.definitions.models import Agent
from agents.memory.services import post_message, start_conversation
from agents.tasks import services as tasks
from agents.tasks.models import Task
from agents.tools.approvals import wait_for_approvals
from tests.api.conftest import approval_of
from tests.pages.browser.conftest import Visitor
from tests.pages.test_waiting import ask

pytestmark = pytest.mark.browser


def test_the_chat_asks_as_soon_as_the_agent_does_and_follows_the_answer(
    visit: Callable[..., Visitor], member: User, agent: Agent
) -> None:
    conversation = start_conversation(owner=member, agent=agent)
    task = post_message(conversation=conversation, text="Send the parcel.", owner=member).task
    person = visit()
    person.sign_in("member")
    assert person.sees("Your work of the last 24 hours")
    person.go(f"/chat/{conversation.pk}/")
    claim = tasks.claim(queues=[task.queue], worker="test")
    assert claim is not None
    ask(claim, "Which of the two?")
    assert person.sees("Which of the two?")
    assert person.faults() == []
    person.fill("Which of the two?", "The red one.")
    person.press("Answer")
    person.page.locator("[data-asks]").wait_for(state="detached")
    assert (person.page.url.split("#")[0]).endswith(f"/chat/{conversation.pk}/")
    task = Task.objects.get(pk=task.pk)
    assert (task.status, task.resume_with) == ("queued", "The red one.")
    claim = tasks.claim(queues=[task.queue], worker="test")
    assert claim is not None
    tasks.succeed(claim=claim, result={"text": "The red one is on its way."})
    assert person.sees("The red one is on its way.")
    assert person.complaints == []


def test_an_operator_approves_what_an_agent_wants_to_do(
    visit: Callable[..., Visitor], member: User, operator: User, agent: Agent
) -> None:
    task = tasks.submit(owner=member, agent=agent, input="Pay Ana.").task
    claim = tasks.claim(queues=[task.queue], worker="test")
    assert claim is not None
    approval = approval_of(task)
    wait_for_approvals(claim=claim, data={})
    person = visit()
    person.sign_in("operator")
    person.page.wait_for_url("**/")
    person.go("/approvals/")
    person.press("pay")
    assert person.sees("What will be done")
    assert person.faults() == []
    person.press("Approve")
    assert person.sees("Your decision is noted")
    approval.refresh_from_db()
    assert (approval.state, Task.objects.get(pk=task.pk).status) == ("approved", "queued")
    assert person.complaints == []
