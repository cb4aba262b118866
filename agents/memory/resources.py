"""What there are rights to in this room."""

from __future__ import annotations

from django.utils.translation import gettext_lazy as _

from accounts.resources import Resource, Verb, register_resource

CONVERSATIONS = Resource(
    "conversations", _("Conversations"),
    {Verb.VIEW: ("agents_memory.view_conversation", "agents_memory.view_message")},
    {Verb.VIEW: _("Read the conversations of everybody.")},
    _("Everybody reads, continues, shares and deletes their own conversations, and reads those shared with them."),
)  # fmt: skip


def register() -> None:
    """Called when the application starts."""
    register_resource(CONVERSATIONS)
