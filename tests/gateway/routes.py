"""Routes over the scripted upstream, for tests."""

from __future__ import annotations

from typing import Any

from agents.gateway import routing
from agents.gateway.models import Credential, Deployment, Route, RouteStep


def deployment(name: str, *, url: str = "", secret: str = "sk-entered-secret-1", **columns: Any) -> Deployment:  # noqa: S107
    """`openai:<name>`; with an address it has a credential of its own, else the environment's."""
    credential = None
    if url:
        credential = Credential.objects.create(name=f"{name}-key", provider="openai", base_url=url, secret=secret)
    return Deployment.objects.create(
        name=name, provider=columns.pop("provider", "openai"), model=columns.pop("model", name), credential=credential,
        **columns,
    )  # fmt: skip


def route(name: str, *deployments: Deployment, weights: Any = (), **columns: Any) -> str:
    """Its target. Known to this process at once."""
    row = Route.objects.create(name=name, **columns)
    for position, each in enumerate(deployments):
        weight = weights[position] if weights else 1
        RouteStep.objects.create(route=row, deployment=each, position=position, weight=weight)
    routing.forget()
    return f"route:{name}"
