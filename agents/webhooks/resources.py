"""What there are rights to in this room."""

from __future__ import annotations

from django.utils.translation import gettext_lazy as _

from accounts.resources import Resource, Verb, register_resource

WEBHOOKS = Resource(
    "webhooks", _("Webhooks"),
    {
        Verb.VIEW: (
            "agents_webhooks.view_endpoint", "agents_webhooks.view_delivery", "agents_webhooks.view_deliveryattempt",
        ),
        Verb.USE: ("agents_webhooks.replay_delivery",),
    },
    {
        Verb.VIEW: _("See the endpoints and deliveries of everybody, without secrets."),
        Verb.USE: _("Replay the deliveries of others."),
    },
    _("Everybody registers and changes their own endpoints."),
)  # fmt: skip


def register() -> None:
    """Called when the application starts."""
    register_resource(WEBHOOKS)
