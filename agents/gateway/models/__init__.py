"""Where models are, what they cost, and the ledger of calls to them."""

from agents.gateway.models.calls import CacheWhy, ModelCall, Tier
from agents.gateway.models.prices import Price
from agents.gateway.models.routes import Credential, Deployment, Route, RouteStep

__all__ = ["CacheWhy", "Credential", "Deployment", "ModelCall", "Price", "Route", "RouteStep", "Tier"]
