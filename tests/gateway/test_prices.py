"""The price list, and what it makes of calls."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from decimal import Decimal
from typing import Any

import pytest
from django.db import DatabaseError
from django.utils import timezone

from accounts.audit import SYSTEM
from accounts.models import AuditEvent
from agents.gateway import prices, services
from agents.gateway.models import Price
from agents.gateway.prices import Tokens, cost, load_price_list, price_of, shipped_prices
from agents.gateway.providers import MODULES
from agents.gateway.refusals import InvalidSetting

pytestmark = pytest.mark.django_db


def _now(model: str) -> Any:
    return price_of("openai", model, timezone.now())


def test_what_runs_here_is_free_and_what_nobody_knows_has_no_price() -> None:
    free = price_of("local", "smollm2-135m", timezone.now())
    assert free is not None
    assert cost(Tokens(1_000, 1_000), free) == 0
    assert _now("nobody-knows") is None


def test_the_list_is_loaded_once_and_can_be_used() -> None:
    assert load_price_list() == len(shipped_prices()) > 20
    assert load_price_list() == 0
    prices.forget()
    assert cost(Tokens(1_000_000, 0), _now("gpt-4o-mini")) == Decimal("0.15")
    assert {row.provider for row in shipped_prices()} <= MODULES.keys()
    assert all("check before you rely on it" in row.note for row in Price.objects.all())
    assert set(Price.objects.values_list("source", flat=True)) == {"shipped"}


def test_a_price_that_an_operator_has_entered_stays_whatever_comes_with_a_release() -> None:
    services.set_price(
        provider="openai", model="gpt-4o", input_price=Decimal(9), output_price=Decimal(9), actor=SYSTEM,
        valid_from=datetime(2024, 1, 1, tzinfo=UTC),
    )  # fmt: skip
    load_price_list()
    prices.forget()
    assert Price.objects.filter(model="gpt-4o").count() == 1
    assert _now("gpt-4o").input == 9


def test_a_new_price_counts_from_its_moment_and_the_old_one_before(settings: Any) -> None:
    load_price_list()
    before = timezone.now()
    services.set_price(
        provider="openai", model="gpt-4o", input_price=Decimal(1), output_price=Decimal(1), actor=SYSTEM,
        valid_from=before + timedelta(seconds=1),
    )  # fmt: skip
    prices.forget()
    old, new = (price_of("openai", "gpt-4o", before + timedelta(seconds=wait)) for wait in (0, 2))
    assert old is not None
    assert new is not None
    assert (old.input, new.input) == (Decimal("2.5"), Decimal(1))
    event = AuditEvent.objects.get(verb="price.set")
    assert event.changes["input_price"]["after"] == "1"


@pytest.mark.parametrize(
    ("field", "wrong"),
    [
        ("provider", {"provider": "nobody"}), ("provider", {"provider": "local"}),
        ("input_price", {"input_price": Decimal("1.1234567")}), ("model", {"model": ""}),
        ("setting", {"input_price": Decimal(-1)}),
    ],
)  # fmt: skip
def test_what_is_no_price_is_refused(field: str, wrong: dict[str, Any]) -> None:
    given: dict[str, Any] = {"provider": "openai", "model": "m", "input_price": Decimal(1), "output_price": Decimal(1)}
    with pytest.raises(InvalidSetting) as raised:
        services.set_price(**(given | wrong), actor=SYSTEM)
    assert field in raised.value.errors
    assert Price.objects.count() == 0


def test_a_price_is_remembered_and_outlasts_an_outage(
    settings: Any, django_assert_num_queries: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    load_price_list()
    prices.forget()
    with django_assert_num_queries(1):
        assert _now("gpt-4o") == _now("gpt-4o")
    settings.ROUTE_CACHE_SECONDS = 0
    known = _now("gpt-4o")

    def away(*_args: object, **_options: object) -> None:
        raise DatabaseError

    monkeypatch.setattr(type(Price.objects), "filter", away)
    assert _now("gpt-4o") == known
