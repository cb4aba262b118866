"""A thumbs-down over HTTP: for the answer of a task, or of a message."""

from __future__ import annotations

from typing import Any

from drf_spectacular.utils import extend_schema
from rest_framework.generics import get_object_or_404
from rest_framework.request import Request
from rest_framework.response import Response

from accounts.audit import Actor
from accounts.caller_views import CallerView
from agents.cache.serializers import EvictedSerializer
from agents.memory.feedback import reject_answer, reject_task
from agents.memory.models import Message
from agents.memory.serializers import MessageSerializer
from agents.memory.views import ConversationView
from agents.tasks.models import Task


class TaskRejection(CallerView):
    """Of a task."""

    area = "answers"
    serializer_class: Any = EvictedSerializer
    queryset = Task.objects.none()

    @extend_schema(
        operation_id="tasks_reject_answers", summary="Say that a task's answer was wrong", tags=["cache"], request=None,
        responses={200: EvictedSerializer},
    )  # fmt: skip
    def post(self, request: Request, **kwargs: Any) -> Response:
        """What the cache gave to a task of yours, or kept of it, is given to nobody any more, and the cache learns."""
        task = get_object_or_404(Task.objects.filter(owner=self.user), pk=kwargs["pk"])
        return Response({"evicted": reject_task(task=task, actor=Actor.of(request))})


class MessageRejection(ConversationView):
    """Of a message."""

    queryset = Message.objects.none()

    @extend_schema(
        operation_id="messages_reject", summary="Say that an answer was wrong", tags=["conversations"], request=None,
        responses={200: MessageSerializer},
    )  # fmt: skip
    def post(self, request: Request, **kwargs: Any) -> Response:
        """Marks the answer; the cache gives it to nobody any more, and learns. The message is the answer or its
        question. 409 while another answer is being written.
        """
        rows = Message.objects.select_related("conversation")
        message = get_object_or_404(rows, conversation=self.own_conversation(), pk=kwargs["message"])
        answer = reject_answer(message=message, owner=self.user, actor=Actor.of(request))
        return Response(MessageSerializer(answer).data)
