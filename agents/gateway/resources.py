"""What there are rights to in this room."""

from __future__ import annotations

from django.utils.translation import gettext_lazy as _

from accounts.resources import Resource, Verb, register_resource

MODELS = Resource(
    "models", _("Models"), {Verb.VIEW: ("agents_gateway.view_modelcall",)},
    {Verb.VIEW: _("See every call to a language model, and what it cost.")},
)  # fmt: skip


def register() -> None:
    """Called when the application starts."""
    register_resource(MODELS)
