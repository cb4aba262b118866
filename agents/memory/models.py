"""Conversations and their messages."""

from __future__ import annotations

from typing import ClassVar

from django.conf import settings
from django.db import models
from django.db.models import Q
from django.utils.translation import gettext_lazy as _

from accounts.models import Shared
from agents.definitions.models import Agent
from agents.memory.querysets import ConversationQuerySet, MessageQuerySet
from agents.tasks.models import Task
from foundation.models import BaseModel


class Conversation(Shared, BaseModel):
    """The memory of one dialogue between a person and an agent."""

    owner = models.ForeignKey(
        settings.AUTH_USER_MODEL,
        on_delete=models.CASCADE,
        related_name="conversations",
        verbose_name=_("owner"),
    )
    agent = models.ForeignKey(Agent, on_delete=models.PROTECT, related_name="conversations", verbose_name=_("agent"))
    title = models.CharField(_("title"), max_length=200, blank=True)
    updated_at = models.DateTimeField(_("updated"), auto_now=True)

    objects = ConversationQuerySet.as_manager()

    class Meta:
        verbose_name = _("conversation")
        verbose_name_plural = _("conversations")
        ordering: ClassVar = ["-updated_at", "-id"]
        indexes: ClassVar = [models.Index(fields=["owner", "-updated_at", "-id"], name="memory_conv_of_owner")]

    def __str__(self) -> str:
        return self.title or str(self.id)


class Message(BaseModel):
    """One turn. `position` counts from 1 within its conversation."""

    class Role(models.TextChoices):
        USER = "user", _("user")
        ASSISTANT = "assistant", _("assistant")

    conversation = models.ForeignKey(
        Conversation, on_delete=models.CASCADE, related_name="messages", verbose_name=_("conversation")
    )
    task = models.ForeignKey(
        Task,
        on_delete=models.SET_NULL,
        null=True,
        blank=True,
        related_name="messages",
        verbose_name=_("task"),
    )
    position = models.PositiveIntegerField(_("position"))
    role = models.CharField(_("role"), max_length=9, choices=Role.choices)
    content = models.TextField(_("content"))
    # An answer that somebody stopped: what had been said until then.
    is_stopped = models.BooleanField(_("stopped"), default=False)
    # When the conversation's owner has said that this answer is wrong.
    rejected_at = models.DateTimeField(_("called wrong"), null=True, blank=True)

    objects = MessageQuerySet.as_manager()

    class Meta:
        verbose_name = _("message")
        verbose_name_plural = _("messages")
        ordering: ClassVar = ["position"]
        constraints: ClassVar = [
            models.UniqueConstraint(fields=["conversation", "position"], name="memory_message_position"),
            models.UniqueConstraint(fields=["task", "role"], name="memory_message_of_task"),
            models.CheckConstraint(
                condition=Q(rejected_at=None) | Q(role="assistant"), name="memory_only_answers_are_wrong"
            ),
        ]

    def __str__(self) -> str:
        return f"{self.role}: {self.content[:60]}"
