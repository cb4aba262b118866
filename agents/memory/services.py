"""Conversations: posting a message, which is a task, and remembering what was said."""

from __future__ import annotations

import hashlib
import json
import uuid
from typing import Any, Unpack, cast

from django.db import transaction
from django.db.models import Max
from django.utils import timezone
from django.utils.translation import gettext as _

from accounts.models import ApiKey, User
from agents.definitions.models import Agent
from agents.definitions.services import get_usable_agent
from agents.memory.data import Posted, Role, TaskOptions, Turn
from agents.memory.exceptions import UnknownConversation
from agents.memory.models import Conversation, Message
from agents.tasks.exceptions import InvalidInput
from agents.tasks.hooks import Finished
from agents.tasks.models import Status, Task
from agents.tasks.services import submit

SERIAL_PREFIX = "conversation:"
TITLE_CHARACTERS = 80
MOST_CHARACTERS = 200_000
MOST_RETRIES_FOLLOWED = 100


def start_conversation(*, owner: User, agent: Agent, title: str = "") -> Conversation:
    """Begins a dialogue between a person and an agent they may use. Raises UnknownAgent."""
    usable = get_usable_agent(slug=agent.slug, user=owner)
    return Conversation.objects.create(owner=owner, agent=usable, title=title)


def post_message(
    *,
    conversation: Conversation,
    text: str,
    owner: User,
    idempotency_key: str | None = None,
    api_key: ApiKey | None = None,
    request_id: str = "",
    **options: Unpack[TaskOptions],
) -> Posted:
    """Stores what a person says and submits the task that answers it, both or neither.

    Tasks of one conversation run one after the other. The same idempotency key with the same text gives the
    message and the task of the first time. Raises IdempotencyConflict for another text, InvalidInput,
    UnknownConversation when it is gone or somebody else's, UnknownAgent when its agent may no longer be used.
    """
    if conversation.owner_id != owner.pk:
        raise UnknownConversation
    if not text.strip():
        raise InvalidInput(_("The message is empty."))
    if len(text) > MOST_CHARACTERS:
        raise InvalidInput(_("The message has more than %(most)d characters.") % {"most": MOST_CHARACTERS})
    agent = get_usable_agent(slug=conversation.agent.slug, user=owner)
    with transaction.atomic():
        if not _touch(conversation.pk):
            raise UnknownConversation
        submitted = submit(
            owner=owner, agent=agent, input=text, serial_key=f"{SERIAL_PREFIX}{conversation.pk}",
            idempotency_key=idempotency_key, request_body_digest=_digest(conversation, text, options),
            api_key=api_key, request_id=request_id, **options,
        )  # fmt: skip
        if not submitted.created:
            message = Message.objects.get(task=submitted.task, role=Message.Role.USER)
            return Posted(message=message, task=submitted.task, created=False)
        message = _append(conversation.pk, submitted.task.pk, Message.Role.USER, text)
        if message.position == 1 and not conversation.title:
            conversation.title = _title(text)
            conversation.save(update_fields=["title"])
    return Posted(message=message, task=submitted.task, created=True)


def history(*, task_id: uuid.UUID, limit: int) -> list[Turn]:
    """What was said before this task's message, oldest first, at most the last `limit` messages.

    Every answer follows its question, however late it came. Empty for a task that is not part of a
    conversation.
    """
    message = _question_of(task_id)
    if message is None or limit < 1:
        return []
    latest = Message.objects.said_before(message)[:limit]
    return [Turn(role=cast("Role", said.role), content=said.content) for said in reversed(latest)]


def store_reply(finished: Finished) -> None:
    """Writes the answer of a succeeded task into its conversation, in the transaction that finishes the task.

    One answer per message: the answer of a task that was retried replaces the one before.
    """
    if finished.status != Status.SUCCEEDED or not (finished.serial_key or "").startswith(SERIAL_PREFIX):
        return
    question = _question_of(finished.task_id)
    if question is None or not _touch(question.conversation_id):
        return
    text = reply_text(finished.result)
    replaced = Message.objects.filter(task=question.task_id, role=Message.Role.ASSISTANT).update(content=text)
    if not replaced:
        _append(question.conversation_id, question.task_id, Message.Role.ASSISTANT, text)


def reply_text(result: Any) -> str:
    """What of a task's result is said: its `text`, a plain string, or else all of it as JSON."""
    said = result.get("text") if isinstance(result, dict) else result
    return said if isinstance(said, str) else json.dumps(result, ensure_ascii=False)


def _question_of(task_id: uuid.UUID) -> Message | None:
    """The message that this task answers; that of the first task, when this one is a retry."""
    asked: uuid.UUID | None = task_id
    for _retry in range(MOST_RETRIES_FOLLOWED):
        if asked is None:
            break
        message = Message.objects.filter(task=asked, role=Message.Role.USER).first()
        if message is not None:
            return message
        asked = Task.objects.filter(pk=asked).values_list("retry_of", flat=True).first()
    return None


def _touch(conversation_id: uuid.UUID) -> bool:
    """Marks it as changed, which locks the row, so that messages get their positions one after the other.

    False when it has been deleted.
    """
    return bool(Conversation.objects.filter(pk=conversation_id).update(updated_at=timezone.now()))


def _append(conversation_id: uuid.UUID, task_id: uuid.UUID | None, role: Message.Role, content: str) -> Message:
    """The next message. The caller holds the conversation's row."""
    last = Message.objects.filter(conversation=conversation_id).aggregate(last=Max("position"))["last"] or 0
    return Message.objects.create(
        conversation_id=conversation_id, task_id=task_id, role=role, content=content, position=last + 1
    )


def _digest(conversation: Conversation, text: str, options: TaskOptions) -> str:
    asked = json.dumps([str(conversation.pk), text, options], sort_keys=True, default=str)
    return hashlib.sha256(asked.encode()).hexdigest()


def _title(text: str) -> str:
    line = text.strip().splitlines()[0]
    return line if len(line) <= TITLE_CHARACTERS else f"{line[: TITLE_CHARACTERS - 1].rstrip()}…"
