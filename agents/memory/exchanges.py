"""A conversation as it is read: what was asked, what was answered, and how that went."""

from __future__ import annotations

import uuid
from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass

from django.db.models import Q

from agents.memory.models import Conversation, Message
from agents.memory.services import serial_key_of
from agents.memory.transcript import ToolUse, tools_of
from agents.tasks.models import Status, Task, TaskEvent

MOST_TOOL_EVENTS = 400
_TOOLS = (TaskEvent.Kind.TOOL_CALL, TaskEvent.Kind.TOOL_RESULT)


@dataclass(frozen=True, slots=True)
class Exchange:
    """A question, its answer if there is one, the latest task that answers it, and the tools which that used.

    Both can be there when the answer is an earlier task's: the latest may still run, or have failed.
    """

    question: Message
    answer: Message | None
    task: Task | None
    tools: tuple[ToolUse, ...]

    @property
    def is_pending(self) -> bool:
        """Whether an answer is still to come."""
        return self.task is not None and not self.task.is_terminal

    @property
    def has_failed(self) -> bool:
        """Whether the latest task has failed."""
        return self.task is not None and self.task.status == Status.FAILED

    @property
    def is_stopped(self) -> bool:
        """Whether somebody stopped the latest task."""
        return self.task is not None and self.task.status == Status.CANCELLED


def exchanges_of(conversation: Conversation, *, before: int | None = None, limit: int) -> list[Exchange]:
    """The last `limit` exchanges before this position (of a question), oldest first. At most five queries."""
    asked = Message.objects.filter(conversation=conversation, role=Message.Role.USER)
    if before is not None:
        asked = asked.filter(position__lt=before)
    return _exchanges(conversation.pk, [*reversed(asked.order_by("-position")[:limit])])


def exchange_of(question: Message) -> Exchange:
    """The exchange that this question begins."""
    return _exchanges(question.conversation_id, [question])[0]


def task_behind(answer: Message) -> Task | None:
    """The task that wrote this answer: its question's own or the newest retry that came to such an end. None when it
    is gone (pruned).
    """
    if answer.task_id is None:
        return None
    parents = _parents(answer.conversation_id)
    asked = [answer.task_id, *(retry for retry in parents if _root(retry, parents) == answer.task_id)]
    ended = Status.CANCELLED if answer.is_stopped else Status.SUCCEEDED
    return Task.objects.filter(pk__in=asked, status=ended).order_by("created_at", "id").last()


def _exchanges(conversation_id: uuid.UUID, questions: Sequence[Message]) -> list[Exchange]:
    if not questions:
        return []
    # In this order: a task that is read as ended has written its answer, which is then read too.
    tasks = _latest_tasks(conversation_id, questions)
    answers = _answers(conversation_id, questions)
    tools = _tools({task.pk for task in tasks.values()})
    found: list[Exchange] = []
    for question in questions:
        task = tasks.get(question.pk)
        used = tools.get(task.pk, ()) if task is not None else ()
        found.append(Exchange(question, answers.get(question.pk), task, tuple(used)))
    return found


def _answers(conversation_id: uuid.UUID, questions: Sequence[Message]) -> dict[uuid.UUID, Message]:
    """By the id of their question. Where the task is gone (pruned), the answer is the one that stands next."""
    of_task = {question.task_id: question for question in questions if question.task_id is not None}
    alone = [question for question in questions if question.task_id is None]
    next_ones = Q(task=None, position__in=[question.position + 1 for question in alone])
    said = Message.objects.filter(Q(task__in=of_task) | next_ones, conversation=conversation_id, role="assistant")
    by_position = {question.position + 1: question for question in alone}
    return {(of_task[each.task_id] if each.task_id else by_position[each.position]).pk: each for each in said}


def _latest_tasks(conversation_id: uuid.UUID, questions: Sequence[Message]) -> dict[uuid.UUID, Task]:
    """By the id of the question: its task, or the newest of the retries that lead back to it."""
    first = {question.task_id: question for question in questions if question.task_id is not None}
    parents = _parents(conversation_id)
    latest = {task_id: task_id for task_id in first}
    for retry in parents:
        root = _root(retry, parents)
        if root in latest:
            latest[root] = retry
    rows = Task.objects.defer("input", "result", "metadata").in_bulk([*latest.values()])
    return {first[root].pk: rows[pk] for root, pk in latest.items() if pk in rows}


def _parents(conversation_id: uuid.UUID) -> dict[uuid.UUID, uuid.UUID | None]:
    """What each retry is a retry of; the oldest first."""
    retries = Task.objects.filter(serial_key=serial_key_of(conversation_id), retry_of__isnull=False)
    return dict(retries.order_by("created_at", "id").values_list("pk", "retry_of"))


def _root(task_id: uuid.UUID, parents: dict[uuid.UUID, uuid.UUID | None]) -> uuid.UUID:
    while (parent := parents.get(task_id)) is not None:
        task_id = parent
    return task_id


def _tools(task_ids: set[uuid.UUID]) -> dict[uuid.UUID, list[ToolUse]]:
    events = TaskEvent.objects.filter(task__in=task_ids, kind__in=_TOOLS).order_by("task", "number")
    of_task: dict[uuid.UUID, list[tuple[str, dict[str, object]]]] = defaultdict(list)
    for task_id, kind, data in events.values_list("task_id", "kind", "data")[:MOST_TOOL_EVENTS]:
        of_task[task_id].append((kind, data))
    return {task_id: tools_of(found) for task_id, found in of_task.items()}
