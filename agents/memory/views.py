"""Conversations over HTTP."""

from __future__ import annotations

from typing import Any, ClassVar

from django.db.models import QuerySet
from drf_spectacular.utils import extend_schema
from rest_framework import mixins
from rest_framework.generics import get_object_or_404
from rest_framework.request import Request
from rest_framework.response import Response
from rest_framework.reverse import reverse

from accounts.audit import Actor
from accounts.caller_views import CallerView
from agents.definitions.services import get_usable_agent
from agents.memory.filters import ConversationFilter
from agents.memory.models import Conversation
from agents.memory.serializers import (
    ConversationRenameSerializer,
    ConversationSerializer,
    ConversationStartSerializer,
)
from agents.memory.services import delete_conversation, rename_conversation, start_conversation
from foundation.exceptions import NotFoundProblem


class ConversationView(CallerView):
    """What all views of conversations and their messages share."""

    area = "conversations"
    holds_narrowing = True

    def get_conversation(self) -> Conversation:
        """The conversation of the address. Raises 404 for one that the caller may not see."""
        return get_object_or_404(self.visible_conversations(), pk=self.kwargs["pk"])

    def visible_conversations(self) -> QuerySet[Conversation]:
        """Conversations that the caller may see."""
        return Conversation.objects.visible_to(self.user).select_related("agent")

    def own_conversation(self) -> Conversation:
        """The conversation of the address, if the caller may also change it: only its owner may."""
        conversation = self.get_conversation()
        if conversation.owner_id != self.user.pk:
            raise NotFoundProblem
        return conversation


class ConversationList(mixins.ListModelMixin, ConversationView):
    """Your conversations."""

    queryset = Conversation.objects.none()
    serializer_class = ConversationSerializer
    filterset_class = ConversationFilter
    search_fields: ClassVar = ["title"]
    ordering_fields: ClassVar = ["updated_at", "created_at"]
    ordering = ("-updated_at", "-id")

    def get_queryset(self) -> QuerySet[Conversation]:
        """Conversations that the caller may see."""
        return self.visible_conversations()

    @extend_schema(operation_id="conversations_list", summary="List conversations", tags=["conversations"])
    def get(self, request: Request) -> Response:
        """Your conversations, the latest first; everyone's for whoever may view conversations."""
        return self.list(request)

    @extend_schema(
        operation_id="conversations_start", summary="Start a conversation", tags=["conversations"],
        request=ConversationStartSerializer, responses={201: ConversationSerializer},
    )  # fmt: skip
    def post(self, request: Request) -> Response:
        """Starts a conversation with an agent that you may use."""
        body = ConversationStartSerializer(data=request.data)
        body.is_valid(raise_exception=True)
        agent = get_usable_agent(slug=body.validated_data["agent"], user=self.user)
        conversation = start_conversation(owner=self.user, agent=agent, title=body.validated_data["title"])
        address = reverse("conversation", kwargs={"pk": conversation.pk})
        return Response(ConversationSerializer(conversation).data, status=201, headers={"Location": address})


class ConversationDetail(ConversationView):
    """One conversation."""

    serializer_class = ConversationSerializer
    pagination_class = None

    @extend_schema(operation_id="conversations_get", summary="Show a conversation", tags=["conversations"])
    def get(self, request: Request, **kwargs: Any) -> Response:
        """One conversation, without its messages."""
        return Response(ConversationSerializer(self.get_conversation()).data)

    @extend_schema(
        operation_id="conversations_rename", summary="Rename a conversation", tags=["conversations"],
        request=ConversationRenameSerializer, responses={200: ConversationSerializer},
    )  # fmt: skip
    def patch(self, request: Request, **kwargs: Any) -> Response:
        """Gives a conversation of yours another title."""
        conversation = self.own_conversation()
        body = ConversationRenameSerializer(data=request.data)
        body.is_valid(raise_exception=True)
        rename_conversation(conversation=conversation, title=body.validated_data["title"], owner=self.user)
        return Response(ConversationSerializer(conversation).data)

    @extend_schema(
        operation_id="conversations_delete", summary="Delete a conversation", tags=["conversations"],
        responses={204: None},
    )  # fmt: skip
    def delete(self, request: Request, **kwargs: Any) -> Response:
        """Forgets a conversation of yours and its messages. The tasks that answered them stay; what runs is stopped."""
        delete_conversation(conversation=self.own_conversation(), owner=self.user, actor=Actor.of(request))
        return Response(status=204)
