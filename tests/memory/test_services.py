"""Messages, the tasks that answer them, and what is remembered."""

from __future__ import annotations

import threading
import time
import uuid
from collections.abc import Callable
from typing import Any

import pytest
from django.db import connection
from django.utils import timezone

from accounts.audit import SYSTEM
from accounts.models import User
from agents.definitions.exceptions import UnknownAgent
from agents.definitions.models import Agent
from agents.definitions.services import update_agent
from agents.memory.data import Turn
from agents.memory.exceptions import UnknownConversation
from agents.memory.models import Conversation, Message
from agents.memory.services import history, post_message, reply_text, start_conversation
from agents.tasks import services as tasks
from agents.tasks.data import Claim
from agents.tasks.exceptions import IdempotencyConflict, InvalidInput
from agents.tasks.models import Status, Task

pytestmark = pytest.mark.django_db

Take = Callable[[], Claim | None]
Answer = Callable[[Claim, Any], None]


def _turns(conversation: Conversation) -> list[tuple[int, str, str]]:
    return [*conversation.messages.order_by("position").values_list("position", "role", "content")]


def test_a_message_is_a_task_of_its_conversation(conversation: Conversation, member: User) -> None:
    posted = post_message(conversation=conversation, text="Hello", owner=member, request_id="request-1")
    task = Task.objects.get()
    assert posted.created
    assert posted.task == task
    assert (posted.message.position, posted.message.role, posted.message.task) == (1, "user", task)
    assert (task.input, task.owner, task.status) == ("Hello", member, Status.QUEUED)
    assert (task.serial_key, task.request_id) == (f"conversation:{conversation.pk}", "request-1")


def test_the_first_message_gives_the_title(conversation: Conversation, member: User) -> None:
    post_message(conversation=conversation, text=f"\n{'Where is my parcel? ' * 9}\nPlease.", owner=member)
    post_message(conversation=conversation, text="And?", owner=member)
    title = Conversation.objects.get().title
    assert title.startswith("Where is my parcel? Where")
    assert title.endswith("…")
    assert len(title) <= 80


def test_a_message_brings_the_conversation_to_the_top(conversation: Conversation, member: User) -> None:
    before = timezone.now()
    Conversation.objects.update(updated_at=before)
    post_message(conversation=conversation, text="Hello", owner=member)
    assert Conversation.objects.get().updated_at > before


def test_a_succeeded_task_leaves_one_reply(
    conversation: Conversation, member: User, take: Take, answer: Answer
) -> None:
    posted = post_message(conversation=conversation, text="Hello", owner=member)
    claimed = take()
    assert claimed is not None
    answer(claimed, "Good day")
    assert _turns(conversation) == [(1, "user", "Hello"), (2, "assistant", "Good day")]
    reply = Message.objects.get(role="assistant")
    assert reply.task == posted.task


def test_a_failed_task_leaves_no_reply(
    conversation: Conversation, member: User, take: Take, give_up: Callable[[Claim], None]
) -> None:
    post_message(conversation=conversation, text="Hello", owner=member)
    claimed = take()
    assert claimed is not None
    give_up(claimed)
    assert Task.objects.get().status == Status.FAILED
    assert _turns(conversation) == [(1, "user", "Hello")]


def test_two_quick_messages_run_one_after_the_other_and_see_what_was_said_before(
    conversation: Conversation, member: User, take: Take, answer: Answer
) -> None:
    first = post_message(conversation=conversation, text="One", owner=member).task
    second = post_message(conversation=conversation, text="Two", owner=member).task
    claimed = take()
    assert claimed is not None
    assert claimed.task_id == first.pk
    assert take() is None
    assert history(task_id=first.pk, limit=20) == []
    answer(claimed, "First answer")
    claimed = take()
    assert claimed is not None
    assert claimed.task_id == second.pk
    assert history(task_id=second.pk, limit=20) == [Turn("user", "One"), Turn("assistant", "First answer")]
    answer(claimed, "Second answer")
    assert [turn[2] for turn in _turns(conversation)] == ["One", "Two", "First answer", "Second answer"]
    third = post_message(conversation=conversation, text="Three", owner=member).task
    said = [turn.content for turn in history(task_id=third.pk, limit=20)]
    assert said == ["One", "First answer", "Two", "Second answer"]


def test_another_conversation_does_not_wait(conversation: Conversation, agent: Agent, member: User, take: Take) -> None:
    other = start_conversation(owner=member, agent=agent)
    post_message(conversation=conversation, text="One", owner=member)
    post_message(conversation=other, text="Two", owner=member)
    assert take() is not None
    assert take() is not None


def test_only_the_last_messages_are_remembered(
    conversation: Conversation, member: User, take: Take, answer: Answer
) -> None:
    for number in range(3):
        post_message(conversation=conversation, text=f"Question {number}", owner=member)
        claimed = take()
        assert claimed is not None
        answer(claimed, f"Answer {number}")
    task = post_message(conversation=conversation, text="Last", owner=member).task
    said = [turn.content for turn in history(task_id=task.pk, limit=3)]
    assert said == ["Answer 1", "Question 2", "Answer 2"]
    assert history(task_id=task.pk, limit=0) == []


def test_a_task_without_a_conversation_has_no_history(agent: Agent, member: User) -> None:
    task = tasks.submit(owner=member, agent=agent, input="Hello").task
    assert history(task_id=task.pk, limit=20) == []
    assert history(task_id=uuid.uuid4(), limit=20) == []


def test_a_retried_task_answers_the_message_of_the_first(
    conversation: Conversation,
    member: User,
    take: Take,
    answer: Answer,
    give_up: Callable[[Claim], None],
) -> None:
    failed = post_message(conversation=conversation, text="One", owner=member).task
    claimed = take()
    assert claimed is not None
    give_up(claimed)
    post_message(conversation=conversation, text="Two", owner=member)
    claimed = take()
    assert claimed is not None
    answer(claimed, "Second answer")
    retried = tasks.retry(task=Task.objects.get(pk=failed.pk), actor=SYSTEM)
    assert history(task_id=retried.pk, limit=20) == []
    claimed = take()
    assert claimed is not None
    assert claimed.task_id == retried.pk
    answer(claimed, "First answer")
    last = post_message(conversation=conversation, text="Three", owner=member).task
    said = [turn.content for turn in history(task_id=last.pk, limit=20)]
    assert said == ["One", "First answer", "Two", "Second answer"]


def test_the_answer_of_a_task_that_is_retried_again_replaces_the_one_before(
    conversation: Conversation,
    member: User,
    take: Take,
    answer: Answer,
    give_up: Callable[[Claim], None],
) -> None:
    task = post_message(conversation=conversation, text="One", owner=member).task
    claimed = take()
    assert claimed is not None
    give_up(claimed)
    for text in ("Old answer", "New answer"):
        tasks.retry(task=Task.objects.get(pk=task.pk), actor=SYSTEM)
        claimed = take()
        assert claimed is not None
        answer(claimed, text)
    assert _turns(conversation) == [(1, "user", "One"), (2, "assistant", "New answer")]


def test_the_answer_to_a_deleted_conversation_is_nobodys(
    conversation: Conversation, member: User, take: Take, answer: Answer
) -> None:
    task = post_message(conversation=conversation, text="One", owner=member).task
    claimed = take()
    assert claimed is not None
    conversation.delete()
    answer(claimed, "Too late")
    task.refresh_from_db()
    assert task.status == Status.SUCCEEDED
    assert not Message.objects.exists()


def test_the_same_key_and_text_give_the_same_message(conversation: Conversation, member: User) -> None:
    first = post_message(conversation=conversation, text="Hello", owner=member, idempotency_key="key-1")
    again = post_message(conversation=conversation, text="Hello", owner=member, idempotency_key="key-1")
    assert (first.created, again.created) == (True, False)
    assert (again.message, again.task) == (first.message, first.task)
    assert (Message.objects.count(), Task.objects.count()) == (1, 1)


def test_the_same_key_for_anything_else_is_a_conflict(conversation: Conversation, agent: Agent, member: User) -> None:
    other = start_conversation(owner=member, agent=agent)
    post_message(conversation=conversation, text="Hello", owner=member, idempotency_key="key-1")
    with pytest.raises(IdempotencyConflict):
        post_message(conversation=conversation, text="Bye", owner=member, idempotency_key="key-1")
    with pytest.raises(IdempotencyConflict):
        post_message(conversation=other, text="Hello", owner=member, idempotency_key="key-1")
    assert (Message.objects.count(), Task.objects.count()) == (1, 1)


@pytest.mark.parametrize("text", ["", " \n", "a\x00b", "a\ud800b", "x" * 200_001])
def test_what_cannot_be_a_message_leaves_nothing(conversation: Conversation, member: User, text: str) -> None:
    with pytest.raises(InvalidInput):
        post_message(conversation=conversation, text=text, owner=member)
    assert (Message.objects.count(), Task.objects.count()) == (0, 0)


def test_a_conversation_is_its_owners(conversation: Conversation, admin: User) -> None:
    with pytest.raises(UnknownConversation):
        post_message(conversation=conversation, text="Hello", owner=admin)
    assert not Task.objects.exists()


def test_a_conversation_needs_an_agent_one_may_use(
    conversation: Conversation, agent: Agent, member: User, outsider: User
) -> None:
    with pytest.raises(UnknownAgent):
        start_conversation(owner=outsider, agent=agent)
    update_agent(agent=agent, is_enabled=False)
    with pytest.raises(UnknownAgent):
        post_message(conversation=conversation, text="Hello", owner=member)
    assert not Task.objects.exists()


def test_a_deleted_conversation_takes_no_message(conversation: Conversation, member: User) -> None:
    Conversation.objects.all().delete()
    with pytest.raises(UnknownConversation):
        post_message(conversation=conversation, text="Hello", owner=member)
    assert not Task.objects.exists()


def test_conversations_are_seen_by_their_owner_and_by_operators(
    conversation: Conversation, member: User, operator: User, outsider: User
) -> None:
    assert [*Conversation.objects.visible_to(member)] == [conversation]
    assert [*Conversation.objects.visible_to(operator)] == [conversation]
    assert [*Conversation.objects.visible_to(outsider)] == []


@pytest.mark.parametrize(
    ("result", "text"),
    [
        ({"text": "Hi", "messages": 2}, "Hi"),
        ("Hi", "Hi"),
        ({"days": 3}, '{"days": 3}'),
        ({"text": None}, '{"text": null}'),
        (["é"], '["é"]'),
        (None, "null"),
    ],
)
def test_what_is_said_of_a_result(result: Any, text: str) -> None:
    assert reply_text(result) == text


@pytest.mark.django_db(transaction=True)
def test_positions_have_no_holes_however_many_speak_at_once(
    conversation: Conversation, member: User, take: Take, answer: Answer
) -> None:
    """Eight posts while a worker answers: no position twice, none left out, a reply for every task."""
    posts, errors = 8, []
    together = threading.Barrier(posts + 1)

    def post(number: int) -> None:
        try:
            together.wait(10)
            post_message(conversation=conversation, text=f"Question {number}", owner=member)
        except Exception as error:
            errors.append(error)
        finally:
            connection.close()

    threads = [threading.Thread(target=post, args=(number,)) for number in range(posts)]
    for thread in threads:
        thread.start()
    together.wait(10)
    answered, deadline = 0, time.monotonic() + 60
    while answered < posts and not errors and time.monotonic() < deadline:
        claimed = take()
        if claimed is not None:
            answer(claimed, "Answer")
            answered += 1
    for thread in threads:
        thread.join(30)
    assert errors == []
    assert [turn[0] for turn in _turns(conversation)] == [*range(1, 2 * posts + 1)]
    assert Message.objects.filter(role="assistant").values("task").distinct().count() == posts
