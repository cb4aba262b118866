"""What there are rights to in this room."""

from __future__ import annotations

from django.utils.translation import gettext_lazy as _

from accounts.resources import Resource, Verb, register_resource

FORCE = (
    "agents_circuits.add_forcedcircuit", "agents_circuits.change_forcedcircuit", "agents_circuits.delete_forcedcircuit",
)  # fmt: skip

CIRCUITS = Resource(
    "circuits", _("Circuit breakers"),
    {Verb.VIEW: ("agents_circuits.view_circuitchange", "agents_circuits.view_forcedcircuit"), Verb.USE: FORCE},
    {
        Verb.VIEW: _("See which providers are left alone at the moment, and why."),
        Verb.USE: _("Hold a circuit breaker open or closed."),
    },
)  # fmt: skip


def register() -> None:
    """Called when the application starts."""
    register_resource(CIRCUITS)
