"""What people do in this room, as the audit log says it."""

from __future__ import annotations

from django.utils.translation import gettext_lazy as _

from accounts import audit

VERBS = {
    "credential.create": _("made a model credential"),
    "credential.change": _("changed the address of a model credential"),
    "credential.secret": _("set the secret of a model credential"),
    "credential.delete": _("deleted a model credential"),
    "deployment.create": _("made a model deployment"),
    "deployment.change": _("changed a model deployment"),
    "deployment.delete": _("deleted a model deployment"),
    "deployment.try": _("tried a model deployment"),
    "route.create": _("made a model route"),
    "route.change": _("changed a model route"),
    "route.delete": _("deleted a model route"),
    "price.set": _("set the price of a model"),
}


def register_verbs() -> None:
    """Called when the application starts."""
    for verb, label in VERBS.items():
        audit.register_verb(verb, label)
