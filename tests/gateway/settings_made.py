"""Models that are set up, for tests."""

from __future__ import annotations

from decimal import Decimal
from typing import Any

from accounts.audit import SYSTEM
from agents.gateway import services
from agents.gateway.models import Credential, Deployment, Price, Route
from agents.gateway.services import Step

SECRET = "sk-canary-secret-of-a-provider-7f3a"
# A public address, not a name: nobody is asked where it leads, and nothing is sent.
ADDRESS = "https://8.8.8.8/v1"


def a_credential(name: str = "main", **fields: Any) -> Credential:
    return services.create_credential(
        **({"provider": "openai", "base_url": ADDRESS, "secret": SECRET} | fields), name=name, actor=SYSTEM
    )


def a_deployment(name: str = "echo", **fields: Any) -> Deployment:
    return services.create_deployment(**({"provider": "scripted", "model": "echo"} | fields), name=name, actor=SYSTEM)


def a_route(*deployments: Deployment, name: str = "fast", **fields: Any) -> Route:
    steps = [Step(each) for each in deployments] or [Step(a_deployment())]
    return services.create_route(name=name, steps=steps, actor=SYSTEM, **fields)


def a_price(provider: str = "openai", model: str = "m", read: str = "1", written: str = "2", **fields: Any) -> Price:
    return services.set_price(
        provider=provider, model=model, input_price=Decimal(read), output_price=Decimal(written), actor=SYSTEM, **fields
    )
