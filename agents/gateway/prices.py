"""What a call costs."""

from __future__ import annotations

from decimal import Decimal

from agents.gateway.providers import LOCAL, SCRIPTED

_FREE = frozenset({LOCAL, SCRIPTED})


def cost_of(provider: str) -> Decimal | None:
    """Zero for what runs on this machine, None where the price is not known."""
    return Decimal(0) if provider in _FREE else None
