"""The models behind what was asked for: a route that leads elsewhere than before is another model."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from contextlib import suppress
from typing import Any

from agents.gateway import routing
from agents.gateway.exceptions import GatewayError
from agents.gateway.providers import ROUTE, route_name
from agents.gateway.routing import RouteData


def models_of(target: str) -> list[list[Any]]:
    """Provider, model, address and parameters of each deployment of a route, and of the routes for what is too long
    for it or refused by it; nothing for a model named itself.
    """
    found = {
        (each.provider, each.model, each.credential.base_url if each.credential else "", each.parameters)
        for route in _routes(target)
        for each in route.deployments
    }
    return [[*each] for each in sorted(found)]


def parameters_of(target: str) -> list[Mapping[str, Any]]:
    """What the deployments of these routes add to each call."""
    return [json.loads(parameters or "{}") for _provider, _model, _address, parameters in models_of(target)]


def _routes(target: str) -> Iterator[RouteData]:
    seen: set[str] = set()
    names = [route_name(target)]
    while names:
        name = names.pop()
        if not name or name in seen:
            continue
        seen.add(name)
        with suppress(GatewayError):
            route = routing.find(f"{ROUTE}{name}")
            yield route
            names += [route.longer, route.refused]
