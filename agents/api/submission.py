"""From a request to a task: one path for tasks and messages."""

from __future__ import annotations

import hashlib
import json
from typing import Any, cast

from django.utils.translation import gettext as _
from rest_framework.exceptions import ValidationError
from rest_framework.request import Request
from rest_framework.response import Response
from rest_framework.reverse import reverse

from accounts.models import ApiKey, User
from accounts.throttling import count_for_agent
from agents.api.serializers import task_document
from agents.api.waiting import Wait
from agents.definitions.narrowing import narrowed
from agents.definitions.services import get_usable_agent
from agents.memory.data import Posted, TaskOptions
from agents.memory.exceptions import UnknownConversation
from agents.memory.models import Conversation
from agents.memory.services import post_message
from agents.tasks import queues
from agents.tasks.data import Submitted
from agents.tasks.exceptions import SerialKeyBusy
from agents.tasks.models import TERMINAL, Task
from agents.tasks.services import submit, submit_many
from foundation.preferences import idempotency_key, wait_seconds

OPTIONS = (
    "priority", "not_before", "max_attempts", "limits", "metadata", "queue", "queue_seconds", "if_busy", "webhook_url",
    "cache",
)  # fmt: skip
TIES = ("depends_on", "if_dependency_fails")


def digest_of(body: Any) -> str:
    """SHA-256 of a JSON body, the same for the same content."""
    return hashlib.sha256(json.dumps(body, sort_keys=True).encode()).hexdigest()


def submit_task(request: Request, fields: dict[str, Any]) -> Submitted:
    """Submits what `POST /tasks` was given; with a conversation, as its next message."""
    user = cast("User", request.user)
    if fields.get("conversation"):
        posted = _post_as_input(request, user, fields)
        return Submitted(task=posted.task, created=posted.created)
    agent = get_usable_agent(slug=fields["agent"], user=user)
    count_for_agent(request, agent.pk)
    return submit(
        owner=user, agent=agent, input=fields["input"], idempotency_key=idempotency_key(request),
        request_body_digest=digest_of(request.data), api_key=api_key_of(request),
        request_id=request_id_of(request), **_options(fields), **_ties(user, fields),
    )  # fmt: skip


def submit_bulk(request: Request, items: list[dict[str, Any]]) -> list[Submitted]:
    """Submits what `POST /tasks/bulk` was given: all of it or nothing."""
    user = cast("User", request.user)
    requests = [_request_of(user, fields) for fields in items]
    for agent_id in {each["agent"].pk for each in requests}:
        count_for_agent(request, agent_id)
    return submit_many(owner=user, requests=requests, api_key=api_key_of(request), request_id=request_id_of(request))


def _request_of(user: User, fields: dict[str, Any]) -> dict[str, Any]:
    return {
        "agent": get_usable_agent(slug=fields["agent"], user=user), "input": fields["input"],
        "idempotency_key": fields.get("idempotency_key"), **_options(fields), **_ties(user, fields),
    }  # fmt: skip


def _ties(user: User, fields: dict[str, Any]) -> dict[str, Any]:
    """What the task has to do with others. Serial keys are their owner's own."""
    ties: dict[str, Any] = {name: fields[name] for name in TIES if fields.get(name) is not None}
    if fields.get("serial_key"):
        ties["serial_key"] = f"{user.pk}:{fields['serial_key']}"
        _check_serial_key(user, ties["serial_key"])
    if fields.get("parent"):
        parent = narrowed(Task.objects.filter(pk=fields["parent"], owner=user), user).first()
        if parent is None:
            raise ValidationError({"parent": [_("There is no such task.")]})
        ties["parent"] = parent
    return ties


def _check_serial_key(user: User, serial_key: str) -> None:
    """What makes way for a task are not tasks of agents that the caller's key does not reach. Raises SerialKeyBusy."""
    if user.narrowed_to is None:
        return
    unfinished = Task.objects.filter(serial_key=serial_key).exclude(status__in=TERMINAL)
    if unfinished.exclude(pk__in=narrowed(unfinished, user).values("pk")).exists():
        raise SerialKeyBusy


def post(request: Request, conversation: Conversation, text: str, fields: dict[str, Any]) -> Posted:
    """Posts a message of the caller."""
    count_for_agent(request, conversation.agent_id)
    return post_message(
        conversation=conversation, text=text, owner=cast("User", request.user),
        idempotency_key=idempotency_key(request), api_key=api_key_of(request),
        request_id=request_id_of(request), **_options(fields),
    )  # fmt: skip


def _post_as_input(request: Request, user: User, fields: dict[str, Any]) -> Posted:
    own = narrowed(Conversation.objects.filter(owner=user), user)
    found = own.select_related("agent").filter(pk=fields["conversation"]).first()
    if found is None:
        raise UnknownConversation
    if found.agent.slug != fields["agent"]:
        raise ValidationError({"agent": [_("This conversation is with another agent.")]})
    if not isinstance(fields["input"], str):
        raise ValidationError({"input": [_("The next message of a conversation is a string.")]})
    return post(request, found, fields["input"], fields)


def _options(fields: dict[str, Any]) -> TaskOptions:
    if fields.get("queue"):
        queues.check_known(fields["queue"])
    return cast("TaskOptions", {name: fields[name] for name in OPTIONS if fields.get(name) is not None})


def api_key_of(request: Request) -> ApiKey | None:
    """The key that the caller used, if it was one."""
    return request.auth if isinstance(request.auth, ApiKey) else None


def request_id_of(request: Request) -> str:
    """The id that RequestIdMiddleware gave."""
    return str(getattr(request, "request_id", ""))


class Answer:
    """The answer to a submission: 202 with the task, or 200 when it has ended while the caller waited."""

    def __init__(self, request: Request, task: Task, *, created: bool) -> None:
        self.seconds = wait_seconds(request)
        self.wait = Wait(task.pk, task_document(task))
        self.headers = {"Location": reverse("task", kwargs={"pk": task.pk})}
        if not created:
            self.headers["Idempotent-Replayed"] = "true"
        if self.seconds:
            self.headers["Preference-Applied"] = "wait"

    @property
    def must_wait(self) -> bool:
        """Whether the caller waits for a task that has not ended."""
        return self.seconds > 0 and not self.wait.is_over

    async def waited(self) -> Response:
        """The answer once the task has ended or the time is up."""
        await self.wait.until(seconds=self.seconds)
        return self.now()

    def now(self) -> Response:
        """The answer as things stand."""
        return Response(self.wait.document, status=self.status, headers=self.headers)

    @property
    def status(self) -> int:
        """200 for a caller who waits and whose task has ended, also when it failed; else 202."""
        return 200 if self.seconds and self.wait.is_over else 202
