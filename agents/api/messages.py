"""Asking a message of a conversation again over HTTP."""

from __future__ import annotations

from typing import Any

from django.http.response import HttpResponseBase
from drf_spectacular.utils import extend_schema
from rest_framework.generics import get_object_or_404
from rest_framework.request import Request
from rest_framework.response import Response

from accounts.throttling import count_for_agent
from agents.api.schema import APPLIED, LOCATION, PREFER
from agents.api.serializers import PostedMessageSerializer
from agents.api.submission import api_key_of, request_id_of
from agents.api.views import PostedAnswer, reply_to
from agents.memory.data import Posted
from agents.memory.models import Message
from agents.memory.services import regenerate
from agents.memory.views import ConversationView
from foundation.async_views import Later
from foundation.threads import in_thread


class MessageRegenerate(ConversationView):
    """Another answer to a message."""

    queryset = Message.objects.none()

    @extend_schema(
        operation_id="messages_regenerate", summary="Ask a message again", tags=["conversations"], request=None,
        parameters=[PREFER, LOCATION, APPLIED],
        responses={202: PostedMessageSerializer, 200: PostedMessageSerializer},
    )  # fmt: skip
    def post(self, request: Request, **kwargs: Any) -> HttpResponseBase:
        """Submits a task that answers the same message; its answer replaces the one there is.

        The message is the question or its answer. 409 while an answer is being written.
        """
        rows = Message.objects.select_related("conversation__agent")
        message = get_object_or_404(rows, conversation=self.own_conversation(), pk=kwargs["message"])
        count_for_agent(request, message.conversation.agent_id)
        posted = regenerate(
            message=message, owner=self.user, api_key=api_key_of(request), request_id=request_id_of(request)
        )
        answer = RegeneratedAnswer(request, posted)
        return Later(answer.waited) if answer.must_wait else answer.now()


class RegeneratedAnswer(PostedAnswer):
    """As for a new message; the answer hangs on the first task that was submitted for it."""

    def __init__(self, request: Request, posted: Posted) -> None:
        super().__init__(request, posted)
        # Not the answer that is to be replaced.
        self.reply = None
        self.first_task_id = posted.message.task_id

    async def waited(self) -> Response:
        """The answer once the task has ended or the time is up."""
        await self.wait.until(seconds=self.seconds)
        if self.wait.is_over:
            self.reply = await in_thread(reply_to, self.first_task_id)
        return self.now()
