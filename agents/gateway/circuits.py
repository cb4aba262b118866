"""What of this room circuit breakers protect: deployments, their credentials, and models that are named without one."""

from __future__ import annotations

from django.utils.translation import gettext_lazy as _

from agents.circuits.directory import register_listing
from agents.circuits.models import CircuitChange, ForcedCircuit
from agents.gateway.models import Credential, Deployment

CREDENTIAL = "credential"
DEPLOYMENT = "deployment"
MODEL = "model"


def deployments() -> dict[str, str]:
    """Key → name of every deployment."""
    return {f"{DEPLOYMENT}:{pk}": name for pk, name in Deployment.objects.values_list("pk", "name")}


def credentials() -> dict[str, str]:
    """Key → name of every credential: open while its account has nothing left to pay with."""
    return {f"{CREDENTIAL}:{pk}": name for pk, name in Credential.objects.values_list("pk", "name")}


def models() -> dict[str, str]:
    """Key → name of the models without a deployment whose breakers have moved or are held: there is no list of the
    others. One that is held moves no more, so its changes are pruned in time.
    """
    changed, held = (
        rows.objects.filter(key__startswith=f"{MODEL}:").order_by().values_list("key", flat=True)
        for rows in (CircuitChange, ForcedCircuit)
    )
    return {key: key.removeprefix(f"{MODEL}:") for key in changed.union(held)}


def register() -> None:
    """Called when the application starts."""
    register_listing(CREDENTIAL, credentials, _("credential"))
    register_listing(DEPLOYMENT, deployments, _("deployment"))
    register_listing(MODEL, models, _("model"))
