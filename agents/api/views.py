"""Tasks over HTTP, and the messages of conversations, which are tasks too."""

from __future__ import annotations

from typing import Any, ClassVar

from django.db.models import QuerySet
from django.http import StreamingHttpResponse
from django.http.response import HttpResponseBase
from django.utils.translation import gettext as _
from django.utils.translation import gettext_lazy
from django_filters.rest_framework import DjangoFilterBackend
from rest_framework import mixins
from rest_framework.exceptions import PermissionDenied, ValidationError
from rest_framework.permissions import AllowAny
from rest_framework.renderers import JSONRenderer
from rest_framework.request import Request
from rest_framework.response import Response
from rest_framework.reverse import reverse

from accounts.audit import Actor
from accounts.caller_views import CallerView
from accounts.throttling import count_for_agent
from agents.api import schema
from agents.api.filters import TaskNameFilter, TaskWithConversationFilter
from agents.api.serializers import (
    BulkSubmissionSerializer,
    MessageSubmissionSerializer,
    TaskDetailSerializer,
    TaskReviewSerializer,
    TaskSubmissionSerializer,
    TaskWithConversationSerializer,
    task_document,
)
from agents.api.streams import Stream
from agents.api.submission import Answer, api_key_of, post, submit_bulk, submit_task
from agents.memory.data import Posted
from agents.memory.filters import MessageFilter
from agents.memory.models import Message
from agents.memory.serializers import MessageSerializer
from agents.memory.services import belongs_to_conversation
from agents.memory.views import ConversationView
from agents.tasks.endings import ties_of
from agents.tasks.exceptions import IllegalTransition
from agents.tasks.models import Task
from agents.tasks.permissions import may_operate
from agents.tasks.serializers import ResumeSerializer, RetrySerializer
from agents.tasks.services import cancel, resume, retry
from agents.tools.reviews import review_call, review_task
from foundation.async_views import AsyncAPIView, Later
from foundation.exceptions import NotFoundProblem
from foundation.pagination import TiedOrdering
from foundation.threads import in_thread


class TaskView(CallerView):
    """What all views of tasks share."""

    area = "tasks"
    queryset = Task.objects.none()
    serializer_class = TaskWithConversationSerializer
    holds_narrowing = True

    def get_queryset(self) -> QuerySet[Task]:
        """Tasks that the caller may see."""
        return Task.objects.visible_to(self.user).select_related("agent_version__agent")


class TaskList(mixins.ListModelMixin, TaskView):
    """Your tasks."""

    filterset_class = TaskWithConversationFilter
    filter_backends = (DjangoFilterBackend, TaskNameFilter, TiedOrdering)
    ordering_fields: ClassVar = ["created_at"]

    @schema.LIST_TASKS
    def get(self, request: Request) -> Response:
        """Your tasks, the newest first; everyone's for whoever may view tasks."""
        return self.list(request)

    @schema.SUBMIT_TASK
    def post(self, request: Request) -> HttpResponseBase:
        """Accepts a task: once this answers, it will run, whatever crashes."""
        body = TaskSubmissionSerializer(data=request.data)
        body.is_valid(raise_exception=True)
        submitted = submit_task(request, body.validated_data)
        answer = Answer(request, submitted.task, created=submitted.created)
        return Later(answer.waited) if answer.must_wait else answer.now()


class TaskBulk(TaskView):
    """Several tasks at once."""

    @schema.SUBMIT_TASKS
    def post(self, request: Request) -> Response:
        """Accepts all of these tasks or none, in their order."""
        body = BulkSubmissionSerializer(data=request.data)
        body.is_valid(raise_exception=True)
        submitted = submit_bulk(request, body.validated_data["tasks"])
        return Response({"tasks": [task_document(each.task) for each in submitted]}, status=202)


class TaskDetail(TaskView):
    """One task."""

    @schema.GET_TASK
    def get(self, request: Request, **kwargs: Any) -> Response:
        """One task, with its result once it has one, and what it asks while it waits for an answer."""
        return Response(TaskDetailSerializer(self.get_object()).data)


class TaskOperation(TaskView):
    """What changes a task: its owner may, and whoever may operate tasks."""

    def get_operable(self) -> Task:
        """The task of the address. Raises 404 for one the caller may not see, 403 for one they may only see."""
        task: Task = self.get_object()
        if not may_operate(self.user, task):
            raise PermissionDenied(_("You may see this task, not change it."))
        return task


class TaskCancel(TaskOperation):
    """Cancelling a task."""

    @schema.CANCEL_TASK
    def post(self, request: Request, **kwargs: Any) -> Response:
        """Cancels a task: at once while it is queued, at its next step while it runs."""
        cancel(task=self.get_operable(), actor=Actor.of(request))
        task: Task = self.get_object()
        return Response(task_document(task), status=200 if task.is_terminal else 202)


class TaskRetry(TaskOperation):
    """Running a task once more."""

    @schema.RETRY_TASK
    def post(self, request: Request, **kwargs: Any) -> Response:
        """Submits a finished task again, with the same input or another, as a new task that names it in `retry_of`."""
        body = RetrySerializer(data=request.data)
        body.is_valid(raise_exception=True)
        old = self.get_operable()
        if "input" in body.validated_data and belongs_to_conversation(ties_of(old)):
            raise IllegalTransition(_("Edit the message of the conversation instead."))
        count_for_agent(request, old.agent_id)
        task = retry(task=old, actor=Actor.of(request), api_key=api_key_of(request), **body.validated_data)
        address = reverse("task", kwargs={"pk": task.pk})
        return Response(task_document(task), status=202, headers={"Location": address})


class TaskResume(TaskOperation):
    """Answering what a task asks."""

    @schema.RESUME_TASK
    def post(self, request: Request, **kwargs: Any) -> Response:
        """Gives a task that waits for input what it waits for; it goes on from there."""
        body = ResumeSerializer(data=request.data)
        body.is_valid(raise_exception=True)
        resume(task=self.get_operable(), value=body.validated_data["value"], actor=Actor.of(request))
        return Response(task_document(self.get_object()), status=202)


class TaskReview(TaskOperation):
    """Deciding about a task that only a person can decide about."""

    @schema.REVIEW_TASK
    def post(self, request: Request, **kwargs: Any) -> Response:
        """Lets a task in `needs_review` continue from its last step, or ends it; or says of a tool call that nobody
        saw end whether it was done."""
        body = TaskReviewSerializer(data=request.data)
        body.is_valid(raise_exception=True)
        said, task, actor = body.validated_data, self.get_operable(), Actor.of(request)
        if "tool_call" in said:
            review_call(
                task=task, call_id=said["tool_call"], decision=said["decision"], result=said.get("result"), actor=actor
            )
        else:
            review_task(task=task, actor=actor, **said)
        return Response(task_document(self.get_object()))


class EventStreamRenderer(JSONRenderer):
    """Lets `Accept: text/event-stream` through; what is rendered are errors only, as JSON."""

    media_type = "text/event-stream"
    format = "event-stream"


class TaskEvents(TaskView):
    """The log of a task as it is written."""

    renderer_classes = (EventStreamRenderer, JSONRenderer)
    pagination_class = None
    filter_backends = ()

    @schema.TASK_EVENTS
    def get(self, request: Request, **kwargs: Any) -> HttpResponseBase:
        """Streams the task's events: those there are, then those to come, until `done`."""
        stream = Stream(self.get_object().pk, after=_after(request))
        response = StreamingHttpResponse(aiter(stream), content_type="text/event-stream; charset=utf-8")
        # Proxies may neither keep nor collect it.
        response["Cache-Control"] = "no-store"
        response["X-Accel-Buffering"] = "no"
        return response


def _after(request: Request) -> int:
    """The number of the last event that the client has: `Last-Event-ID`, or `?after=` for a first request."""
    given = request.headers.get("Last-Event-ID") or request.query_params.get("after") or "0"
    if not (given.isascii() and given.isdigit() and len(given) < 10):
        raise ValidationError({"after": [_("The number of an event is expected.")]})
    return int(given)


class Nothing(AsyncAPIView):
    """What is at no address. A view, so that looking for addresses is counted like everything else."""

    permission_classes = (AllowAny,)
    schema = None

    def initial(self, request: Request, *args: Any, **kwargs: Any) -> None:
        """Counts, and says so."""
        super().initial(request, *args, **kwargs)
        raise NothingHere


class NothingHere(NotFoundProblem):
    """There is nothing at this address."""

    default_detail = gettext_lazy("There is nothing at this address.")


class MessageList(mixins.ListModelMixin, ConversationView):
    """The messages of a conversation."""

    queryset = Message.objects.none()
    serializer_class = MessageSerializer
    filterset_class = MessageFilter
    search_fields: ClassVar = ["content"]
    ordering_fields: ClassVar = ["position"]
    ordering = ("position", "id")

    @schema.LIST_MESSAGES
    def get(self, request: Request, **kwargs: Any) -> Response:
        """What was said, the oldest first."""
        return self.list(request)

    def get_queryset(self) -> QuerySet[Message]:
        """The messages of the address's conversation."""
        return Message.objects.filter(conversation=self.get_conversation())

    @schema.POST_MESSAGE
    def post(self, request: Request, **kwargs: Any) -> HttpResponseBase:
        """Says something: stores the message and submits the task that answers it."""
        conversation = self.own_conversation()
        body = MessageSubmissionSerializer(data=request.data)
        body.is_valid(raise_exception=True)
        posted = post(request, conversation, body.validated_data["text"], body.validated_data)
        answer = PostedAnswer(request, posted)
        return Later(answer.waited) if answer.must_wait else answer.now()


class PostedAnswer(Answer):
    """The answer to a message: the message and its task, and what the agent said when the caller waited for it."""

    def __init__(self, request: Request, posted: Posted) -> None:
        super().__init__(request, posted.task, created=posted.created)
        self.message = MessageSerializer(posted.message).data
        self.reply: Any = None if self.must_wait else reply_to(posted.task.pk)

    async def waited(self) -> Response:
        """The answer once the task has ended or the time is up."""
        await self.wait.until(seconds=self.seconds)
        self.reply = await in_thread(reply_to, self.wait.task_id)
        return self.now()

    def now(self) -> Response:
        """The answer as things stand."""
        body = {"message": self.message, "reply": self.reply, "task": self.wait.document}
        return Response(body, status=self.status, headers=self.headers)


def reply_to(task_id: Any) -> Any:
    """What was answered to the message of this task, or None."""
    reply = Message.objects.filter(task=task_id, role=Message.Role.ASSISTANT).first()
    return MessageSerializer(reply).data if reply is not None else None
