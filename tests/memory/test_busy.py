"""A message that does not wait for the answer to the one before."""

from __future__ import annotations

from typing import Any

import pytest

from accounts.models import User
from agents.memory.models import Conversation, Message
from agents.memory.services import post_message
from agents.tasks.exceptions import SerialKeyBusy
from agents.tasks.models import Task
from agents.tasks.services import claim, finish_cancelled
from tests.tasks.threads import at_once

pytestmark = pytest.mark.django_db(transaction=True)


def said(conversation: Conversation) -> list[str]:
    rows = Message.objects.filter(conversation=conversation).order_by("position")
    return [*rows.values_list("content", flat=True)]


def post(conversation: Conversation, text: str, **options: Any) -> Task:
    return post_message(conversation=conversation, text=text, owner=conversation.owner, **options).task


def test_a_message_may_interrupt_the_answer_to_the_one_before(conversation: Conversation) -> None:
    first = post(conversation, "one")
    held = claim(queues=[first.queue], worker="tests")
    assert held is not None
    post(conversation, "two")
    last = post(conversation, "three", if_busy="interrupt")
    finish_cancelled(claim=held)
    statuses = dict(Task.objects.values_list("input", "status"))
    assert statuses == {"one": "cancelled", "two": "cancelled", "three": "queued"}
    assert said(conversation) == ["one", "two", "three"]
    assert Task.objects.get(pk=last.pk).is_rolled_back is False


def test_a_message_may_take_the_place_of_the_one_before(conversation: Conversation) -> None:
    first = post(conversation, "one")
    held = claim(queues=[first.queue], worker="tests")
    assert held is not None
    post(conversation, "two")
    post(conversation, "three", if_busy="rollback")
    assert said(conversation) == ["one", "three"], "what runs is taken back when it has stopped"
    finish_cancelled(claim=held)
    assert said(conversation) == ["three"]


def test_a_message_may_be_refused_while_an_answer_is_written(conversation: Conversation) -> None:
    post(conversation, "one")
    with pytest.raises(SerialKeyBusy):
        post(conversation, "two", if_busy="reject")
    assert said(conversation) == ["one"]


def test_the_same_request_again_interrupts_nothing(conversation: Conversation) -> None:
    first = post(conversation, "one", if_busy="interrupt", idempotency_key="k")
    assert post(conversation, "one", if_busy="interrupt", idempotency_key="k") == first
    assert Task.objects.get().status == "queued"


@pytest.mark.parametrize("if_busy", ["interrupt", "rollback"])
def test_messages_at_once_leave_one_task(conversation: Conversation, member: User, if_busy: str) -> None:
    at_once(lambda number: post(conversation, f"{number}", if_busy=if_busy), 8)
    assert Task.objects.filter(status="queued").count() == 1
    assert len(said(conversation)) == (8 if if_busy == "interrupt" else 1)
