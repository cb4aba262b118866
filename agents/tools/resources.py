"""What there are rights to in this room."""

from __future__ import annotations

from django.utils.translation import gettext_lazy as _

from accounts.resources import Resource, Verb, register_resource

APPROVALS = Resource(
    "approvals", _("Approvals and tool calls"),
    {
        Verb.VIEW: ("agents_tools.view_approval", "agents_tools.view_toolcall"),
        Verb.APPROVE: ("agents_tools.decide_approval",),
    },
    {
        Verb.VIEW: _("See what the agents of everybody want to do, and have done."),
        Verb.APPROVE: _("Approve, change and refuse what agents want to do, also for one's own tasks."),
    },
    _("Everybody sees what waits for approval in their own tasks, and cannot decide it."),
)  # fmt: skip


def register() -> None:
    """Called when the application starts."""
    register_resource(APPROVALS)
