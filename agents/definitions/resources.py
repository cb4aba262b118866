"""What there are rights to in this room."""

from __future__ import annotations

from django.utils.translation import gettext_lazy as _

from accounts.resources import Resource, Verb, register_resource

AGENTS = Resource(
    "agents", _("Agents"),
    {
        Verb.VIEW: ("agents_definitions.view_agent", "agents_definitions.view_agentversion"),
        Verb.USE: ("agents_definitions.use_agent",),
        Verb.CHANGE: ("agents_definitions.add_agent", "agents_definitions.change_agent"),
    },
    {
        Verb.VIEW: _("See in the admin how every agent is made, with its prompt."),
        Verb.USE: _("Talk to every agent and give it tasks. Single agents can be shared on their page."),
        Verb.CHANGE: _("Make agents, change them, and share them."),
    },
    _("Whoever an agent is shared with uses or changes it."),
)  # fmt: skip


def register() -> None:
    """Called when the application starts."""
    register_resource(AGENTS)
