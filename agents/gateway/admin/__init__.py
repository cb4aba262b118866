"""Models in the admin: how they are set up, what they cost, and every call."""

from agents.gateway.admin import calls, prices, setup  # noqa: F401 (register themselves)
