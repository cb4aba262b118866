"""Asking again, changing what was said, stopping, renaming, finding, deleting."""

from __future__ import annotations

from collections.abc import Callable
from datetime import UTC, datetime
from typing import Any

import pytest
from django.db import IntegrityError
from django.utils import timezone

from accounts.audit import SYSTEM
from accounts.models import User
from agents.definitions.models import Agent
from agents.memory import exchanges, services
from agents.memory.exceptions import ConversationBusy, InvalidTitle, UnknownConversation, UnknownMessage
from agents.memory.exchanges import exchanges_of
from agents.memory.models import Conversation, Message
from agents.memory.services import (
    delete_conversation,
    edit_message,
    history,
    post_message,
    regenerate,
    rename_conversation,
    start_conversation,
)
from agents.tasks import services as tasks
from agents.tasks.data import Claim, NewEvent
from agents.tasks.exceptions import IdempotencyConflict, InvalidInput
from agents.tasks.models import Status, Task

pytestmark = pytest.mark.django_db

Take = Callable[[], Claim | None]
Answer = Callable[[Claim, Any], None]
Say = Callable[..., Message]


@pytest.fixture
def say(conversation: Conversation, member: User, take: Take, answer: Answer) -> Say:
    """Says something and, with a reply, has it answered."""

    def post(text: str, reply: str | None = None) -> Message:
        message = post_message(conversation=conversation, text=text, owner=member).message
        if reply is not None:
            claimed = take()
            assert claimed is not None
            answer(claimed, reply)
        return message

    return post


def _turns(conversation: Conversation) -> list[tuple[int, str]]:
    return [*conversation.messages.order_by("position").values_list("position", "content")]


def _events(claim: Claim, *events: tuple[str, dict[str, Any]]) -> None:
    tasks.append_events(claim, [NewEvent(kind, data, datetime.now(UTC)) for kind, data in events])


def test_a_regenerated_answer_replaces_the_old_one_and_does_not_remember_it(
    conversation: Conversation, member: User, say: Say, take: Take, answer: Answer
) -> None:
    say("One", "First")
    question = say("Two", "Second")
    again = regenerate(message=question, owner=member)
    assert again.task.retry_of == question.task
    assert [turn.content for turn in history(task_id=again.task.pk, limit=20)] == ["One", "First"]
    claimed = take()
    assert claimed is not None
    assert (claimed.task_id, claimed.input) == (again.task.pk, "Two")
    answer(claimed, "Better")
    assert _turns(conversation) == [(1, "One"), (2, "First"), (3, "Two"), (4, "Better")]


def test_an_answer_can_be_named_to_ask_its_question_again_however_often(
    conversation: Conversation, member: User, say: Say, take: Take, answer: Answer
) -> None:
    question = say("One", "First")
    reply = Message.objects.get(role="assistant")
    for number in range(services.MOST_RETRIES_FOLLOWED + 2):
        posted = regenerate(message=reply, owner=member)
        assert posted.message == question
        claimed = take()
        assert claimed is not None
        answer(claimed, f"Answer {number}")
    assert _turns(conversation) == [(1, "One"), (2, f"Answer {services.MOST_RETRIES_FOLLOWED + 1}")]
    [exchange] = exchanges_of(conversation, limit=5)
    assert exchange.task == posted.task


def test_an_edit_cuts_what_followed_and_asks_anew(
    conversation: Conversation, member: User, say: Say, take: Take, answer: Answer
) -> None:
    say("One", "First")
    question = say("Two", "Second")
    say("Three", "Third")
    before = question.task
    posted = edit_message(message=question, text="Zwei", owner=member)
    assert _turns(conversation) == [(1, "One"), (2, "First"), (3, "Zwei")]
    assert (posted.task.input, posted.task.retry_of) == ("Zwei", None)
    assert Task.objects.filter(pk=before.pk).exists()  # type: ignore[union-attr]
    assert [turn.content for turn in history(task_id=posted.task.pk, limit=20)] == ["One", "First"]
    claimed = take()
    assert claimed is not None
    answer(claimed, "Neu")
    assert _turns(conversation) == [(1, "One"), (2, "First"), (3, "Zwei"), (4, "Neu")]


def test_an_edit_leaves_the_late_answer_to_an_earlier_question(
    conversation: Conversation, member: User, say: Say, take: Take, answer: Answer
) -> None:
    say("One")
    second = say("Two")
    for reply in ("First", "Second"):
        claimed = take()
        assert claimed is not None
        answer(claimed, reply)
    assert _turns(conversation) == [(1, "One"), (2, "Two"), (3, "First"), (4, "Second")]
    edit_message(message=second, text="Zwei", owner=member)
    assert _turns(conversation) == [(1, "One"), (2, "Zwei"), (3, "First")]


def test_the_retry_of_a_task_whose_message_was_edited_answers_nothing(
    conversation: Conversation, member: User, say: Say, take: Take, answer: Answer, give_up: Callable[[Claim], None]
) -> None:
    question = say("One")
    claimed = take()
    assert claimed is not None
    give_up(claimed)
    old = Task.objects.get(pk=claimed.task_id)
    edit_message(message=question, text="Uno", owner=member)
    claimed = take()
    assert claimed is not None
    answer(claimed, "Right")
    tasks.retry(task=old, actor=SYSTEM)
    claimed = take()
    assert claimed is not None
    answer(claimed, "Wrong")
    assert _turns(conversation) == [(1, "Uno"), (2, "Right")]


def test_nothing_is_changed_while_an_answer_is_being_written(
    conversation: Conversation, member: User, say: Say
) -> None:
    question = say("One", "First")
    say("Two")
    with pytest.raises(ConversationBusy):
        regenerate(message=question, owner=member)
    with pytest.raises(ConversationBusy):
        edit_message(message=question, text="Uno", owner=member)
    assert _turns(conversation) == [(1, "One"), (2, "First"), (3, "Two")]
    assert Task.objects.count() == 2


def test_an_edit_that_cannot_be_submitted_cuts_nothing(
    conversation: Conversation, member: User, say: Say, monkeypatch: pytest.MonkeyPatch
) -> None:
    question = say("One", "First")

    def broken(**_given: Any) -> None:
        raise IntegrityError

    monkeypatch.setattr(services, "submit", broken)
    with pytest.raises(IntegrityError):
        edit_message(message=question, text="Uno", owner=member)
    with pytest.raises(InvalidInput):
        edit_message(message=question, text="  ", owner=member)
    assert _turns(conversation) == [(1, "One"), (2, "First")]


def test_messages_of_others_and_answers_are_not_changed(
    conversation: Conversation, member: User, admin: User, say: Say
) -> None:
    question = say("One", "First")
    reply = Message.objects.get(role="assistant")
    with pytest.raises(UnknownMessage):
        edit_message(message=reply, text="I never said that", owner=member)
    with pytest.raises(UnknownMessage):
        edit_message(message=question, text="Uno", owner=admin)
    with pytest.raises(UnknownMessage):
        regenerate(message=question, owner=admin)
    question.delete()
    with pytest.raises(UnknownMessage):
        edit_message(message=question, text="Uno", owner=member)
    assert Task.objects.count() == 1


def test_the_key_of_a_message_that_was_edited_is_a_conflict(conversation: Conversation, member: User) -> None:
    posted = post_message(conversation=conversation, text="One", owner=member, idempotency_key="k")
    tasks.cancel(task=posted.task, actor=SYSTEM)
    edit_message(message=posted.message, text="Uno", owner=member)
    with pytest.raises(IdempotencyConflict):
        post_message(conversation=conversation, text="One", owner=member, idempotency_key="k")


def test_what_a_stopped_answer_had_said_is_kept(conversation: Conversation, say: Say, take: Take) -> None:
    say("Tell me a story")
    claimed = take()
    assert claimed is not None
    _events(
        claimed,
        ("message", {"text": "Let me look."}),
        ("step", {"node": "model"}),
        ("tool_call", {"id": "1", "name": "look", "args": {}}),
        ("tool_result", {"id": "1", "name": "look", "content": "x"}),
        ("step", {"node": "tools"}),
        ("message", {"text": "Once upon"}),
    )
    tasks.hand_back(claim=claimed)
    claimed = take()
    assert claimed is not None
    _events(claimed, ("message", {"text": "Once "}), ("message", {"text": "there was "}))
    tasks.finish_cancelled(claim=claimed)
    reply = Message.objects.get(role="assistant")
    assert (reply.content, reply.is_stopped) == ("Once there was", True)


def test_a_stopped_answer_that_is_regenerated_is_whole_again(
    conversation: Conversation, member: User, say: Say, take: Take, answer: Answer
) -> None:
    question = say("Hello")
    claimed = take()
    assert claimed is not None
    _events(claimed, ("message", {"text": "Good"}))
    tasks.finish_cancelled(claim=claimed)
    regenerate(message=question, owner=member)
    claimed = take()
    assert claimed is not None
    answer(claimed, "Good day")
    reply = Message.objects.get(role="assistant")
    assert (reply.content, reply.is_stopped) == ("Good day", False)


def test_an_answer_that_is_stopped_before_it_began_leaves_none(
    conversation: Conversation, member: User, say: Say
) -> None:
    question = say("Hello")
    tasks.cancel(task=question.task, actor=SYSTEM)  # type: ignore[arg-type]
    assert _turns(conversation) == [(1, "Hello")]
    [exchange] = exchanges_of(conversation, limit=5)
    assert (exchange.answer, exchange.is_stopped) == (None, True)


def test_a_question_whose_task_was_pruned_can_be_asked_again(
    conversation: Conversation, member: User, say: Say, take: Take, answer: Answer
) -> None:
    say("One", "First")
    Task.objects.all().delete()
    [exchange] = exchanges_of(conversation, limit=5)
    assert exchange.answer is not None
    assert (exchange.answer.content, exchange.task) == ("First", None)
    regenerate(message=exchange.answer, owner=member)
    claimed = take()
    assert claimed is not None
    answer(claimed, "Better")
    assert _turns(conversation) == [(1, "One"), (2, "Better")]


def test_a_conversation_is_renamed_where_it_stands(conversation: Conversation, member: User, admin: User) -> None:
    before = conversation.updated_at
    rename_conversation(conversation=conversation, title="  Parcels \n and letters ", owner=member)
    found = Conversation.objects.get()
    assert (found.title, found.updated_at) == ("Parcels and letters", before)
    for title in ("", " ", "x" * 201):
        with pytest.raises(InvalidTitle):
            rename_conversation(conversation=conversation, title=title, owner=member)
    with pytest.raises(UnknownConversation):
        rename_conversation(conversation=conversation, title="Mine", owner=admin)


def test_a_deleted_conversation_stops_what_runs_for_it(
    conversation: Conversation, member: User, admin: User, say: Say, take: Take
) -> None:
    say("One")
    say("Two")
    assert take() is not None
    with pytest.raises(UnknownConversation):
        delete_conversation(conversation=conversation, owner=admin, actor=SYSTEM)
    delete_conversation(conversation=conversation, owner=member, actor=SYSTEM)
    assert (Conversation.objects.count(), Message.objects.count()) == (0, 0)
    running, queued = Task.objects.order_by("created_at", "id")
    assert running.cancel_requested_at is not None
    assert queued.status == Status.CANCELLED


def test_conversations_are_found_by_title_and_by_what_was_said(agent: Agent, member: User, take: Take) -> None:
    titled = start_conversation(owner=member, agent=agent, title="Where is my Parcel?")
    spoken = start_conversation(owner=member, agent=agent, title="Other")
    post_message(conversation=spoken, text="A parcel for you", owner=member)
    post_message(conversation=spoken, text="One more parcel", owner=member)
    start_conversation(owner=member, agent=agent, title="Nothing of the kind")
    found = Conversation.objects.filter(owner=member).matching("parcel")
    assert sorted(row.pk for row in found) == sorted([titled.pk, spoken.pk])


def test_pages_of_conversations_neither_skip_nor_repeat(agent: Agent, member: User) -> None:
    for _ in range(7):
        start_conversation(owner=member, agent=agent)
    # The same moment for all: the id decides.
    Conversation.objects.update(updated_at=timezone.now())
    rows = Conversation.objects.order_by("-updated_at", "-id")
    seen: list[Conversation] = []
    while page := [*(rows.older_than(seen[-1]) if seen else rows)[:3]]:
        seen += page
    assert [row.pk for row in seen] == [row.pk for row in rows]
    assert len(seen) == 7


def test_exchanges_are_read_from_the_end_in_few_queries(
    conversation: Conversation, say: Say, take: Take, django_assert_max_num_queries: Any
) -> None:
    for number in range(6):
        say(f"Question {number}", f"Answer {number}")
    say("Last")
    claimed = take()
    assert claimed is not None
    _events(
        claimed,
        ("tool_call", {"id": "1", "name": "look", "args": {"at": "it"}}),
        ("tool_result", {"id": "1", "name": "look", "content": "broken", "error": True}),
    )
    with django_assert_max_num_queries(5):
        last = exchanges_of(conversation, limit=3)
    assert [found.question.content for found in last] == ["Question 4", "Question 5", "Last"]
    assert [found.answer.content if found.answer else None for found in last] == ["Answer 4", "Answer 5", None]
    assert last[-1].is_pending
    [tool] = last[-1].tools
    assert (tool.name, tool.args, tool.result, tool.is_error) == ("look", {"at": "it"}, "broken", True)
    earlier = exchanges_of(conversation, before=last[0].question.position, limit=3)
    assert [found.question.content for found in earlier] == ["Question 1", "Question 2", "Question 3"]


def test_a_task_that_ends_between_two_queries_is_not_without_its_answer(
    conversation: Conversation, say: Say, take: Take, answer: Answer, monkeypatch: pytest.MonkeyPatch
) -> None:
    say("Hello")
    claimed = take()
    assert claimed is not None
    ends: list[Claim] = [claimed]

    def then_it_ends(read: Callable[..., Any]) -> Callable[..., Any]:
        def reading(*given: Any) -> Any:
            found = read(*given)
            if ends:
                answer(ends.pop(), "Good day")
            return found

        return reading

    for name in ("_answers", "_latest_tasks"):
        monkeypatch.setattr(exchanges, name, then_it_ends(getattr(exchanges, name)))
    [exchange] = exchanges_of(conversation, limit=5)
    assert ends == []
    assert exchange.is_pending or exchange.answer is not None
