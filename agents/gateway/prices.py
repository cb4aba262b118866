"""What calls cost."""

from __future__ import annotations

import threading
import time
import uuid
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from decimal import ROUND_HALF_UP, Decimal
from functools import lru_cache
from pathlib import Path
from typing import Any, Final

import structlog
import yaml
from django.conf import settings
from django.db import Error as AnyDatabaseError
from django.db import connections, transaction

from agents.gateway.models import Price
from agents.gateway.providers import LOCAL, SCRIPTED
from foundation.seldom import Seldom
from foundation.threads import close_connections

logger = structlog.get_logger(__name__)

# As many digits as the columns of costs have: what is added up is what is stored.
SMALLEST: Final = Decimal("0.000001")
NOTHING: Final = Decimal(0)
MILLION: Final = 1_000_000
MOST_REMEMBERED: Final = 1000
LIST: Final = Path(__file__).with_name("price_list.yaml")

_FREE = frozenset({LOCAL, SCRIPTED})
_is_news = Seldom(seconds=60)


@dataclass(frozen=True, slots=True)
class Rate:
    """A price as calls are counted by it: money for a million tokens. Without an id for what runs on this machine."""

    id: uuid.UUID | None
    valid_from: datetime
    input: Decimal
    output: Decimal
    cached: Decimal
    reasoning: Decimal


@dataclass(frozen=True, slots=True)
class Tokens:
    """Of one call. Cached ones are part of the input, reasoning ones of the output."""

    input: int = 0
    output: int = 0
    cached: int = 0
    reasoning: int = 0


FREE: Final = Rate(None, datetime.min.replace(tzinfo=UTC), NOTHING, NOTHING, NOTHING, NOTHING)


def price_of(provider: str, model: str, at: datetime) -> Rate | None:
    """The price that was valid at a moment; None where it is not known. Up to ROUTE_CACHE_SECONDS old, and older while
    the database is away.
    """
    if provider in _FREE:
        return FREE
    return next((rate for rate in _remembered.of(provider, model) if rate.valid_from <= at), None)


def is_priced(provider: str, model: str) -> bool:
    """Whether there is a price at this moment."""
    return price_of(provider, model, datetime.now(UTC)) is not None


def cost(tokens: Tokens, rate: Rate) -> Decimal:
    """In the currency of the price list, with as many digits as are stored."""
    cached, reasoning = min(tokens.cached, tokens.input), min(tokens.reasoning, tokens.output)
    whole = (
        (tokens.input - cached) * rate.input
        + cached * rate.cached
        + (tokens.output - reasoning) * rate.output
        + reasoning * rate.reasoning
    )
    return (whole / MILLION).quantize(SMALLEST, ROUND_HALF_UP)


class _Remembered:
    """Prices of models, the latest first, as this process knows them."""

    def __init__(self) -> None:
        self._known: dict[tuple[str, str], tuple[float, tuple[Rate, ...]]] = {}
        self._lock = threading.Lock()
        self._generation = 0

    def of(self, provider: str, model: str) -> tuple[Rate, ...]:
        """What is known of this model."""
        key = (provider, model)
        until, rates = self._known.get(key, (0.0, ()))
        if until > time.monotonic():
            return rates
        generation = self._generation
        had = any(each.connection is not None for each in connections.all(initialized_only=True))
        try:
            rates = _read(provider, model)
        except AnyDatabaseError as error:
            if _is_news.is_news():
                logger.warning("prices_not_read", provider=provider, model=model, error=str(error))
        if not had:
            # Threads that carry model calls keep no connection of their own.
            close_connections()
        with self._lock:
            if generation == self._generation:
                if len(self._known) >= MOST_REMEMBERED:
                    self._known.clear()
                self._known[key] = (time.monotonic() + settings.ROUTE_CACHE_SECONDS, rates)
        return rates

    def forget(self) -> None:
        """Asks again next time."""
        with self._lock:
            self._generation += 1
            self._known.clear()


_remembered = _Remembered()


def forget() -> None:
    """As if no price had been asked for in this process."""
    _remembered.forget()


def _read(provider: str, model: str) -> tuple[Rate, ...]:
    rows = Price.objects.filter(provider=provider, model=model).order_by("-valid_from")
    return tuple(_rate(row) for row in rows)


def _rate(row: Price) -> Rate:
    return Rate(
        id=row.pk,
        valid_from=row.valid_from,
        input=row.input_price,
        output=row.output_price,
        cached=row.input_price if row.cached_price is None else row.cached_price,
        reasoning=row.output_price if row.reasoning_price is None else row.reasoning_price,
    )


def load_price_list() -> int:
    """Adds the prices that came with Mutirão and are not there yet; how many. Models of which an operator has entered
    a price keep that one.
    """
    rows = shipped_prices()
    entered = set(Price.objects.filter(source=Price.Source.OPERATOR).values_list("provider", "model"))
    there = set(Price.objects.values_list("provider", "model", "valid_from"))
    missing = [
        row
        for row in rows
        if (row.provider, row.model) not in entered and (row.provider, row.model, row.valid_from) not in there
    ]
    Price.objects.bulk_create(missing, ignore_conflicts=True)
    transaction.on_commit(forget)
    return len(missing)


def shipped_prices() -> list[Price]:
    """The rows of the list, not saved."""
    document = _document()
    since, note = _midnight(document["known_at"]), str(document["note"])
    return [
        Price(
            provider=provider, model=str(model), valid_from=since, source=Price.Source.SHIPPED, note=note,
            **_columns(prices),
        )
        for provider, models in document["prices"].items()
        for model, prices in models.items()
    ]  # fmt: skip


@lru_cache(maxsize=1)
def _document() -> Mapping[str, Any]:
    found: Mapping[str, Any] = yaml.safe_load(LIST.read_text())
    return found


def _midnight(day: Any) -> datetime:
    return datetime(day.year, day.month, day.day, tzinfo=UTC)


def _columns(prices: Mapping[str, Any]) -> dict[str, Decimal]:
    return {f"{name}_price": Decimal(str(amount)) for name, amount in prices.items()}
