"""Conversations as they were held."""

from __future__ import annotations

from django.contrib import admin
from django.db.models import Model
from django.http import HttpRequest
from unfold.admin import TabularInline

from accounts.sharing_admin import SharedAdmin
from agents.memory.models import Conversation, Message
from foundation.admin import ReadOnlyAdmin


class MessageInline(TabularInline):  # type: ignore[misc]  # unfold has no types
    """The transcript."""

    model = Message
    fields = ("position", "role", "content", "is_stopped", "rejected_at", "task", "created_at")
    readonly_fields = fields
    ordering = ("position",)
    extra = 0
    can_delete = False
    per_page = 100

    def has_add_permission(self, request: HttpRequest, obj: Model | None = None) -> bool:
        """Nobody puts words into it."""
        return False

    def has_change_permission(self, request: HttpRequest, obj: Model | None = None) -> bool:
        """Nor changes them."""
        return False


@admin.register(Conversation)
class ConversationAdmin(SharedAdmin, ReadOnlyAdmin):
    """Read-only; with whom it is shared is its owner's to say."""

    inlines = (MessageInline,)
    list_display = ("title", "owner", "agent", "created_at", "updated_at")
    list_filter = (("updated_at", admin.DateFieldListFilter),)
    list_select_related = ("owner", "agent")
    search_fields = ("=id", "title", "=owner__username", "=agent__slug")
    ordering = ("-updated_at", "-id")
