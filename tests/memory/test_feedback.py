"""A thumbs-down: the answer is marked, the cache gives it to nobody any more, and learns from it once."""

from __future__ import annotations

import uuid
from collections.abc import Callable
from datetime import timedelta
from typing import Any

import pytest
from django.db import IntegrityError, transaction
from django.utils import timezone

from accounts.audit import SYSTEM
from accounts.models import User
from agents.cache import observing, shadowing
from agents.cache.models import CacheEntry, Trial
from agents.gateway.models import ModelCall
from agents.memory.exceptions import ConversationBusy, UnknownMessage
from agents.memory.feedback import reject_answer, reject_task
from agents.memory.models import Conversation, Message
from agents.memory.services import post_message, regenerate
from agents.tasks.data import Claim
from agents.tasks.models import Task
from agents.tasks.services import cancel, submit

pytestmark = pytest.mark.django_db

Take = Callable[[], Claim | None]
Answer = Callable[[Claim, Any], None]


@pytest.fixture(autouse=True)
def _who_learns() -> None:
    """Other tests let everybody forget."""
    observing.on_rejected(shadowing.take_to_heart)


@pytest.fixture
def answered(conversation: Conversation, member: User, take: Take, answer: Answer) -> Callable[[Any], Task]:
    """Says something, or asks this message again, and has it answered: the task that did."""

    def ask(again: Message | None = None) -> Task:
        if again is None:
            post_message(conversation=conversation, text="Where is it?", owner=member)
        else:
            regenerate(message=again, owner=member)
        claimed = take()
        assert claimed is not None
        answer(claimed, "Here.")
        return Task.objects.get(pk=claimed.task_id)

    return ask


def _entry(task: Task, **given: Any) -> CacheEntry:
    """What the cache has kept of a task."""
    now, version = timezone.now(), task.agent_version
    return CacheEntry.objects.create(
        scope="s", exact=uuid.uuid4().hex, agent_id=version.agent_id, agent_version_id=version.pk, task_id=task.pk,
        owner_id=task.owner_id, asked_by_id=task.owner_id, target="route:main", question="Where is it?",
        dialogue=[{"role": "user", "content": "Where is it?"}],
        answer={"message": {"content": "Here."}, "pieces": []}, answered_at=now, stale_at=now + timedelta(hours=1),
        expires_at=now + timedelta(hours=1), **given,
    )  # fmt: skip


def _given(task: Task, entry: CacheEntry) -> ModelCall:
    """That the entry was served to a task, by its meaning."""
    return ModelCall.objects.create(
        task_id=task.pk, agent_id=entry.agent_id, provider="p", model="m", started_at=timezone.now(), latency_ms=1,
        outcome="succeeded", tier="semantic", cost=0, cache_entry_id=entry.pk, similarity=0.97,
        cache_evidence={"score": 0.96, "threshold": 0.93},
    )  # fmt: skip


def test_an_answer_that_the_cache_gave_is_marked_evicted_and_learned_from_once(
    member: User, answered: Callable[..., Task]
) -> None:
    task = answered()
    entry = _entry(task)
    call = _given(task, entry)
    for message in (Message.objects.get(role="user"), Message.objects.get(role="assistant")):
        assert reject_answer(message=message, owner=member, actor=SYSTEM).content == "Here."
    entry.refresh_from_db()
    assert entry.evicted_because == "rejected"
    assert Message.objects.get(role="assistant").rejected_at is not None
    [trial] = Trial.objects.all()
    assert (trial.call_id, trial.is_right, trial.was_served, trial.source) == (call.pk, False, True, "feedback")


def test_what_is_said_twice_of_a_task_is_learned_once(answered: Callable[..., Task]) -> None:
    task = answered()
    _given(task, _entry(task))
    assert [reject_task(task=task, actor=SYSTEM) for _ in range(3)] == [1, 0, 0]
    assert Trial.objects.count() == 1
    assert Message.objects.get(role="assistant").rejected_at is not None
    trial = Trial.objects.get()
    trial.pk = uuid.uuid4()
    with pytest.raises(IntegrityError), transaction.atomic():
        trial.save(force_insert=True)


def test_only_the_answer_that_is_there_is_meant(member: User, answered: Callable[..., Task]) -> None:
    first = answered()
    question = Message.objects.get(role="user")
    second = answered(question)
    before, after = _entry(first), _entry(second)
    reject_answer(message=question, owner=member, actor=SYSTEM)
    before.refresh_from_db()
    after.refresh_from_db()
    assert (before.evicted_at is None, after.evicted_because) == (True, "rejected")


def test_of_an_earlier_try_the_message_is_not_marked(answered: Callable[..., Task]) -> None:
    first = answered()
    answered(Message.objects.get(role="user"))
    assert reject_task(task=first, actor=SYSTEM) == 0
    assert Message.objects.get(role="assistant").rejected_at is None


def test_the_next_answer_is_not_wrong_before_it_is_read(member: User, answered: Callable[..., Task]) -> None:
    answered()
    question = Message.objects.get(role="user")
    reject_answer(message=question, owner=member, actor=SYSTEM)
    answered(question)
    assert Message.objects.get(role="assistant").rejected_at is None


def test_of_a_task_outside_a_conversation_only_the_cache_is_told(conversation: Conversation, member: User) -> None:
    task = submit(owner=member, agent=conversation.agent, input="hi").task
    entry = _entry(task)
    assert reject_task(task=task, actor=SYSTEM) == 1
    entry.refresh_from_db()
    assert entry.evicted_because == "rejected"


def test_what_the_parts_of_a_task_were_given_is_removed_and_teaches_nothing(answered: Callable[..., Task]) -> None:
    task = answered()
    part = submit(owner=task.owner, agent=task.agent, input="part").task
    part_of_part = submit(owner=task.owner, agent=task.agent, input="part of it").task
    other = submit(owner=task.owner, agent=task.agent, input="another").task
    Task.objects.filter(pk=part.pk).update(parent=task)
    Task.objects.filter(pk=part_of_part.pk).update(parent=part)
    entries = [_entry(each) for each in (other, part_of_part, other)]
    _given(part, entries[0])
    assert reject_task(task=task, actor=SYSTEM) == 2
    for entry in entries:
        entry.refresh_from_db()
    assert [entry.evicted_because for entry in entries] == ["rejected", "rejected", ""]
    assert not Trial.objects.exists()


def test_what_cannot_be_called_wrong(
    conversation: Conversation, member: User, outsider: User, answered: Callable[..., Task]
) -> None:
    question = post_message(conversation=conversation, text="Hello?", owner=member).message
    assert question.task is not None
    cancel(task=question.task, actor=SYSTEM)
    with pytest.raises(UnknownMessage):
        reject_answer(message=question, owner=member, actor=SYSTEM)  # nothing was answered
    question.delete()
    answered()
    question = Message.objects.get(role="user")
    with pytest.raises(UnknownMessage):
        reject_answer(message=question, owner=outsider, actor=SYSTEM)
    regenerate(message=question, owner=member)
    with pytest.raises(ConversationBusy):
        reject_answer(message=question, owner=member, actor=SYSTEM)
    with pytest.raises(IntegrityError), transaction.atomic():
        Message.objects.filter(pk=question.pk).update(rejected_at=timezone.now())
    assert Message.objects.filter(rejected_at__isnull=False).count() == 0
