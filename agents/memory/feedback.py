"""Saying that an answer is wrong: it is marked, the cache gives it to nobody any more, and learns from that."""

from __future__ import annotations

from django.db import transaction
from django.utils import timezone
from django.utils.translation import gettext as _

from accounts.audit import Actor
from accounts.models import User
from agents.cache.services import reject_of_task
from agents.memory.exceptions import ConversationBusy, UnknownMessage
from agents.memory.exchanges import exchange_of, task_behind
from agents.memory.models import Conversation, Message
from agents.memory.services import asked_before, question_of
from agents.tasks.models import Task


def reject_answer(*, message: Message, owner: User, actor: Actor) -> Message:
    """Calls an answer wrong; `message` is the answer or its question. Gives the answer.

    Saying it again changes nothing. Raises UnknownMessage, also where there is no answer, and ConversationBusy while
    another one is being written.
    """
    if message.conversation.owner_id != owner.pk:
        raise UnknownMessage
    with transaction.atomic():
        question = message if message.role == Message.Role.USER else asked_before(message)
        if question is None or not _locked(question):
            raise UnknownMessage
        exchange = exchange_of(question)
        if exchange.is_pending:
            raise ConversationBusy(_("An answer is still being written in this conversation; wait for it, or stop it."))
        answer = exchange.answer
        if answer is None:
            raise UnknownMessage
        if answer.rejected_at is None:
            _mark(answer)
            task = task_behind(answer)
            if task is not None:
                _reject_of(task, actor)
    return answer


def reject_task(*, task: Task, actor: Actor) -> int:
    """The same for what a task has answered, in a conversation or not; how many cached answers are given no more."""
    with transaction.atomic():
        question = question_of(task.pk)
        if question is not None and _locked(question):
            answer = exchange_of(question).answer
            if answer is not None and answer.rejected_at is None and task_behind(answer) == task:
                _mark(answer)
        return _reject_of(task, actor)


def _reject_of(task: Task, actor: Actor) -> int:
    return reject_of_task(task_id=task.pk, actor=actor, parts=Task.objects.parts_of(task.pk))


def _locked(message: Message) -> bool:
    """Whether its conversation is still there; then nobody writes another answer until the end."""
    rows = Conversation.objects.select_for_update().filter(pk=message.conversation_id)
    return rows.values_list("pk").first() is not None


def _mark(answer: Message) -> None:
    answer.rejected_at = timezone.now()
    answer.save(update_fields=["rejected_at"])
