"""How many requests, and what is reserved of a quota for a task that says nothing (docs/limits.md)."""

from __future__ import annotations

from decimal import Decimal, InvalidOperation

from mutirao.settings.environment import env


def _amount(text: str) -> Decimal:
    """What is none becomes one that a system check refuses."""
    try:
        return Decimal(text)
    except InvalidOperation:
        return Decimal("nan")


# How many in which time (100/m, 5/s, 20/10s); empty: no limit. Rows of limits replace those of users and keys.
RATE_ADDRESS: str = env("MUTIRAO_RATE_ADDRESS", default="120/m")
RATE_SIGN_IN: str = env("MUTIRAO_RATE_SIGN_IN", default="30/m")
RATE_USER: str = env("MUTIRAO_RATE_USER", default="6000/m")
RATE_KEY: str = env("MUTIRAO_RATE_KEY", default="")
# Scopes whose requests are refused while Redis, which counts them, is away; all others pass uncounted.
RATE_FAIL_CLOSED: list[str] = env.list("MUTIRAO_RATE_FAIL_CLOSED", default=["sign_in"])

# Of a quota, for a task without a limit of its own, where the quota itself says nothing.
QUOTA_RESERVE_TOKENS: int = env.int("MUTIRAO_QUOTA_RESERVE_TOKENS", default=4_000)
QUOTA_RESERVE_COST: Decimal = _amount(env("MUTIRAO_QUOTA_RESERVE_COST", default="0.05"))
