"""What there are rights to in this room."""

from __future__ import annotations

from django.utils.translation import gettext_lazy as _

from accounts.resources import Resource, Verb, register_resource

SEE_CALLS = "agents_gateway.view_modelcall"
SEE = tuple(f"agents_gateway.view_{name}" for name in ("credential", "deployment", "route", "routestep", "price"))
CHANGE = (
    *(
        f"agents_gateway.{verb}_{name}"
        for name in ("deployment", "route", "routestep")
        for verb in ("add", "change", "delete")
    ),
    "agents_gateway.add_price",
)
CREDENTIALS = tuple(f"agents_gateway.{verb}_credential" for verb in ("add", "change", "delete"))

MODELS = Resource(
    "models", _("Models"),
    {Verb.VIEW: (SEE_CALLS, *SEE), Verb.CHANGE: CHANGE, Verb.ADMINISTER: CREDENTIALS},
    {
        Verb.VIEW: _("See every call to a language model, what it cost, and how models are set up; no secrets."),
        Verb.CHANGE: _("Change deployments and routes, try them, and set prices."),
        Verb.ADMINISTER: _("Make credentials, change their addresses, and set their secrets."),
    },
)  # fmt: skip


def register() -> None:
    """Called when the application starts."""
    register_resource(MODELS)
