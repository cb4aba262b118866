"""Conversations: posting a message, which is a task, and remembering what was said."""

from __future__ import annotations

import hashlib
import json
import uuid
from contextlib import suppress
from typing import Any, Unpack, cast

from django.db import transaction
from django.db.models import Case, F, Max, QuerySet, Value, When
from django.utils import timezone
from django.utils.translation import gettext as _

from accounts.audit import Actor
from accounts.models import ApiKey, User
from agents.definitions.cache_policy import asked_anew
from agents.definitions.models import Agent
from agents.definitions.services import get_usable_agent
from agents.memory.data import Posted, Role, TaskOptions, Turn
from agents.memory.exceptions import ConversationBusy, InvalidTitle, UnknownConversation, UnknownMessage
from agents.memory.models import Conversation, Message
from agents.memory.transcript import unfinished_text
from agents.tasks import metering
from agents.tasks.exceptions import IdempotencyConflict, IllegalTransition, InvalidInput
from agents.tasks.hooks import Finished, Ties
from agents.tasks.inputs import check_storable
from agents.tasks.models import TERMINAL, Status, Task
from agents.tasks.services import cancel, known_task, make_way, policy_of, submit

SERIAL_PREFIX = "conversation:"
TITLE_CHARACTERS = 80
MOST_CHARACTERS = 200_000
LONGEST_TITLE = 200
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

    Tasks of one conversation run one after the other; `if_busy` among the options says what happens to those that have
    not ended (None: what the agent's policy says). The same idempotency key with the same text gives the
    message and the task of the first time. Raises IdempotencyConflict for another text, InvalidInput,
    UnknownConversation when it is gone or somebody else's, UnknownAgent when its agent may no longer be used,
    SerialKeyBusy, NoQuotaLeft.
    """
    _check_owner(conversation, owner)
    _check_text(text)
    agent = get_usable_agent(slug=conversation.agent.slug, user=owner)
    digest = _digest(conversation, text, options)
    if_busy = options.pop("if_busy", None) or policy_of(agent).if_busy
    serial_key = serial_key_of(conversation.pk)
    with transaction.atomic(), metering.together():
        # Before the conversation is locked: what ends here locks it too, after its own row.
        if known_task(owner=owner, idempotency_key=idempotency_key) is None:
            make_way(serial_key=serial_key, if_busy=if_busy)
        if not _touch(conversation.pk, title=_title(text)):
            raise UnknownConversation
        submitted = submit(
            owner=owner, agent=agent, input=text, serial_key=serial_key, if_busy="queue",
            idempotency_key=idempotency_key, request_body_digest=digest,
            api_key=api_key, request_id=request_id, **options,
        )  # fmt: skip
        if not submitted.created:
            message = _known_message(submitted.task)
            return Posted(message=message, task=submitted.task, created=False)
        message = _append(conversation.pk, submitted.task.pk, Message.Role.USER, text)
    conversation.title = conversation.title or _title(text)
    return Posted(message=message, task=submitted.task, created=True)


def rename_conversation(*, conversation: Conversation, title: str, owner: User) -> Conversation:
    """Gives it another title, without bringing it to the top. Raises UnknownConversation, InvalidTitle."""
    _check_owner(conversation, owner)
    title = " ".join(title.split())
    if not title or len(title) > LONGEST_TITLE or "\x00" in title:
        raise InvalidTitle(_("A title has 1 to 200 characters."))
    if not Conversation.objects.filter(pk=conversation.pk).update(title=title):
        raise UnknownConversation
    conversation.title = title
    return conversation


def delete_conversation(*, conversation: Conversation, owner: User, actor: Actor) -> None:
    """Forgets it and its messages, and stops what still runs for it. Raises UnknownConversation."""
    _check_owner(conversation, owner)
    with transaction.atomic():
        if not _touch(conversation.pk):
            raise UnknownConversation
        conversation_id = conversation.pk
        conversation.delete()
    # Afterwards: the end of a task locks it and then its conversation, so both at once could wait for each other.
    for task in _unfinished(conversation_id):
        with suppress(IllegalTransition):
            cancel(task=task, actor=actor)


def regenerate(
    *,
    message: Message,
    owner: User,
    api_key: ApiKey | None = None,
    request_id: str = "",
    **options: Unpack[TaskOptions],
) -> Posted:
    """Asks a message again; `message` is the question or its answer. The next answer replaces the one there is.

    Every new task is a retry of the question's first one, so that however often somebody asks again, an answer
    finds its question in one step. Raises UnknownMessage, ConversationBusy while an answer is being written,
    UnknownAgent when the agent may no longer be used.
    """
    _check_owner(message.conversation, owner, UnknownMessage)
    agent = get_usable_agent(slug=message.conversation.agent.slug, user=owner)
    options.pop("if_busy", None)  # nothing runs in a conversation that is quiet
    # Whoever asks again does not want the same text again.
    options["cache"] = asked_anew(options.get("cache", {}))
    with transaction.atomic():
        question = _quiet_question(message)
        task = submit(
            owner=owner, agent=agent, input=question.content, serial_key=serial_key_of(question.conversation_id),
            if_busy="queue", retry_of=question.task, api_key=api_key, request_id=request_id, **options,
        ).task  # fmt: skip
        if question.task_id is None:
            _adopt(question, task)
    return Posted(message=question, task=task, created=True)


def edit_message(
    *,
    message: Message,
    text: str,
    owner: User,
    api_key: ApiKey | None = None,
    request_id: str = "",
    **options: Unpack[TaskOptions],
) -> Posted:
    """Changes what a person said and asks it anew; all that followed is cut. All of it or nothing.

    The tasks that answered stay. Raises UnknownMessage, also for an answer, ConversationBusy while an answer is
    being written, InvalidInput, UnknownAgent.
    """
    _check_owner(message.conversation, owner, UnknownMessage)
    _check_text(text)
    if message.role != Message.Role.USER:
        raise UnknownMessage
    agent = get_usable_agent(slug=message.conversation.agent.slug, user=owner)
    options.pop("if_busy", None)
    with transaction.atomic():
        question = _quiet_question(message)
        followed = [*Message.objects.said_since(question).values_list("pk", flat=True)]
        Message.objects.filter(pk__in=followed).delete()
        task = submit(
            owner=owner, agent=agent, input=text, serial_key=serial_key_of(question.conversation_id),
            if_busy="queue", api_key=api_key, request_id=request_id, **options,
        ).task  # fmt: skip
        question.content, question.task = text, task
        question.save(update_fields=["content", "task"])
    return Posted(message=question, task=task, created=True)


def history(*, task_id: uuid.UUID, limit: int) -> list[Turn]:
    """What was said before this task's message, oldest first, at most the last `limit` messages.

    Every answer follows its question, however late it came. Empty for a task that is not part of a
    conversation.
    """
    message = question_of(task_id)
    if message is None or message.position == 1 or limit < 1:
        return []
    latest = Message.objects.said_before(message)[:limit]
    return [Turn(role=cast("Role", said.role), content=said.content) for said in reversed(latest)]


def store_reply(finished: Finished) -> None:
    """Writes the answer into the conversation, in the transaction that finishes the task.

    Of a task that was stopped, what it had said until then; of one that was rolled back nothing, and its question goes
    too. One answer per message: that of a task which was retried replaces the one before.
    """
    if finished.status == Status.CANCELLED and _is_rolled_back(finished.task_id):
        Message.objects.filter(task=finished.task_id).delete()
        return
    text = _text_of(finished)
    if text is None:
        return
    question = question_of(finished.task_id)
    if question is None or not _touch(question.conversation_id):
        return
    is_stopped = finished.status == Status.CANCELLED
    answers = Message.objects.filter(task=question.task_id, role=Message.Role.ASSISTANT)
    if not answers.update(content=text, is_stopped=is_stopped, rejected_at=None):
        _append(question.conversation_id, question.task_id, Message.Role.ASSISTANT, text, is_stopped=is_stopped)


def belongs_to_conversation(ties: Ties) -> bool:
    """Whether a task with these ties answers a message."""
    return ties.serial_key is not None and ties.serial_key.startswith(SERIAL_PREFIX)


def _is_rolled_back(task_id: uuid.UUID) -> bool:
    return Task.objects.filter(pk=task_id, is_rolled_back=True).exists()


def _text_of(finished: Finished) -> str | None:
    """What the conversation keeps of it; None for nothing."""
    if finished.status == Status.SUCCEEDED:
        return reply_text(finished.result)
    if finished.status == Status.CANCELLED:
        return unfinished_text(finished.task_id) or None
    return None


def reply_text(result: Any) -> str:
    """What of a task's result is said: its `text`, a plain string, or else all of it as JSON."""
    said = result.get("text") if isinstance(result, dict) else result
    return said if isinstance(said, str) else json.dumps(result, ensure_ascii=False)


def question_of(task_id: uuid.UUID) -> Message | None:
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


def _touch(conversation_id: uuid.UUID, *, title: str = "") -> bool:
    """Marks it as changed, which locks the row, so that messages get their positions one after the other. `title` is
    for one that has none yet.

    False when it has been deleted.
    """
    changed: dict[str, Any] = {"updated_at": timezone.now()}
    if title:
        changed["title"] = Case(When(title="", then=Value(title)), default=F("title"))
    return bool(Conversation.objects.filter(pk=conversation_id).update(**changed))


def _append(
    conversation_id: uuid.UUID, task_id: uuid.UUID | None, role: Message.Role, content: str, *, is_stopped: bool = False
) -> Message:
    """The next message. The caller holds the conversation's row."""
    last = Message.objects.filter(conversation=conversation_id).aggregate(last=Max("position"))["last"] or 0
    return Message.objects.create(
        conversation_id=conversation_id,
        task_id=task_id,
        role=role,
        content=content,
        position=last + 1,
        is_stopped=is_stopped,
    )


def serial_key_of(conversation_id: uuid.UUID) -> str:
    """What the tasks of this conversation have in common."""
    return f"{SERIAL_PREFIX}{conversation_id}"


def _check_owner(conversation: Conversation, owner: User, refusal: type[Exception] = UnknownConversation) -> None:
    if conversation.owner_id != owner.pk:
        raise refusal


def _check_text(text: str) -> None:
    if not text.strip():
        raise InvalidInput(_("The message is empty."))
    if len(text) > MOST_CHARACTERS:
        raise InvalidInput(_("The message has more than %(most)d characters.") % {"most": MOST_CHARACTERS})
    check_storable(text)


def _known_message(task: Task) -> Message:
    """The message that this task was submitted with. Raises IdempotencyConflict when it was edited or cut since."""
    message = Message.objects.filter(task=task, role=Message.Role.USER).first()
    if message is None:
        raise IdempotencyConflict(_("This Idempotency-Key was used for a message that has been changed since."))
    return message


def _unfinished(conversation_id: uuid.UUID) -> QuerySet[Task]:
    return Task.objects.filter(serial_key=serial_key_of(conversation_id)).exclude(status__in=TERMINAL)


def _quiet_question(message: Message) -> Message:
    """The question that this message is or answers, with its conversation locked and nothing running in it.

    Raises UnknownMessage, ConversationBusy.
    """
    if not _touch(message.conversation_id):
        raise UnknownMessage
    # Read again: it may have been edited or cut while we waited for the lock.
    current = Message.objects.select_related("task").filter(pk=message.pk).first()
    if current is not None and current.role == Message.Role.ASSISTANT:
        current = asked_before(current)
    if current is None:
        raise UnknownMessage
    if _unfinished(message.conversation_id).exists():
        raise ConversationBusy(_("An answer is still being written in this conversation; wait for it, or stop it."))
    return current


def asked_before(answer: Message) -> Message | None:
    """The question that this answer answers."""
    questions = Message.objects.select_related("task").filter(
        conversation=answer.conversation_id, role=Message.Role.USER
    )
    if answer.task_id is not None:
        return questions.filter(task=answer.task_id).first()
    return questions.filter(task=None, position__lt=answer.position).order_by("-position").first()


def _adopt(question: Message, task: Task) -> None:
    """The question's task is gone (pruned): this one takes its place, for the question and the answer it had."""
    after = Message.objects.filter(conversation=question.conversation_id, position__gt=question.position)
    following = after.order_by("position").first()
    own = [question.pk]
    if following is not None and following.role == Message.Role.ASSISTANT and following.task_id is None:
        own.append(following.pk)
    Message.objects.filter(pk__in=own).update(task=task)
    question.task = task


def _digest(conversation: Conversation, text: str, options: TaskOptions) -> str:
    asked = json.dumps([str(conversation.pk), text, options], sort_keys=True, default=str)
    return hashlib.sha256(asked.encode()).hexdigest()


def _title(text: str) -> str:
    line = text.strip().splitlines()[0]
    return line if len(line) <= TITLE_CHARACTERS else f"{line[: TITLE_CHARACTERS - 1].rstrip()}…"
