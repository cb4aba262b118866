"""What a row says of its call: tokens, money, tries, and what the cache has saved."""

from __future__ import annotations

import uuid
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from typing import Any

import pytest
from django.utils import timezone
from langchain_core.messages import AIMessage, AIMessageChunk
from langchain_core.messages.ai import UsageMetadata

from agents.gateway import prices
from agents.gateway.answers import CallNotes, Provenance
from agents.gateway.data import CallContext
from agents.gateway.exceptions import ModelTimeout
from agents.gateway.models import CacheWhy, ModelCall, Price
from agents.gateway.recording import Recording

pytestmark = pytest.mark.django_db
NONE = Decimal(0)
LONG_AGO = datetime(2020, 1, 1, tzinfo=UTC)


def price(model: str, read: str = "1", written: str = "2", **more: Any) -> Price:
    row = Price.objects.create(
        provider="openai", model=model, **({"valid_from": LONG_AGO} | more), input_price=Decimal(read),
        output_price=Decimal(written),
    )  # fmt: skip
    prices.forget()
    return row


def said(text: str = "", read: int = 0, written: int = 0, **details: Any) -> AIMessageChunk:
    usage = UsageMetadata(input_tokens=read, output_tokens=written, total_tokens=read + written)
    usage.update(details)  # type: ignore[typeddict-item]
    return AIMessageChunk(content=text, usage_metadata=usage if read or written else None)


def answered(recording: Recording, model: str = "m", *, error: str = "", name: str = "") -> Any:
    outcome = "failed" if error else "succeeded"
    return recording.tried(None, name, "openai", model, outcome, error, 5.0)


def test_cached_and_reasoning_tokens_have_prices_of_their_own() -> None:
    price("m", "10", "20", cached_price=Decimal(1), reasoning_price=Decimal(5))
    recording = Recording("openai:m", CallContext(), 40)
    recording.see(
        said("hi", 1_000, 500, input_token_details={"cache_read": 400}, output_token_details={"reasoning": 300})
    )
    got = answered(recording)
    recording.finish()
    row = ModelCall.objects.get()
    # 600 × 10 + 400 × 1 + 200 × 20 + 300 × 5, for a million each
    assert row.cost == got.cost == Decimal("0.0119")
    assert (row.input_tokens, row.output_tokens, row.cached_tokens, row.reasoning_tokens) == (1_000, 500, 400, 300)
    assert not row.is_estimate


def test_the_price_is_the_one_that_was_valid_when_the_call_began() -> None:
    price("m", "1", "0")
    later = price("m", "100", "0", valid_from=timezone.now() + timedelta(hours=1))
    recording = Recording("openai:m", CallContext(), 4)
    recording.see(said("hi", 1_000_000, 1))
    answered(recording)
    recording.finish()
    row = ModelCall.objects.get()
    assert row.cost == 1
    assert row.price_id not in {None, later.pk}


def test_an_unknown_price_is_not_zero() -> None:
    context = CallContext()
    recording = Recording("openai:m", context, 4)
    recording.see(said("hi", 10, 5))
    assert answered(recording).cost is None
    recording.finish()
    assert ModelCall.objects.unpriced().get().cost is None
    assert (context.meter.total.input_tokens, context.meter.total.cost) == (10, NONE)


def test_what_used_nothing_costs_nothing_whatever_the_price() -> None:
    recording = Recording("openai:m", CallContext(), 4)
    answered(recording, error="ModelTimeout")
    recording.finish(ModelTimeout())
    row = ModelCall.objects.get()
    assert (row.cost, row.input_tokens, row.outcome, row.error_type) == (NONE, 0, "failed", "ModelTimeout")


def test_fractions_of_a_millionth_add_up_on_the_meter_as_they_do_in_the_rows() -> None:
    price("m", "0.333333", "0.777777")
    context = CallContext()
    for number in range(1, 30):
        recording = Recording("openai:m", context, 4)
        recording.see(said("hi", number * 7, number))
        answered(recording)
        recording.finish()
    assert sum((row.cost or Decimal(0) for row in ModelCall.objects.all()), Decimal(0)) == context.meter.total.cost
    assert context.meter.total.cost > 0


def test_the_tokens_of_a_try_that_was_given_up_count_too() -> None:
    price("first", "1000000", "1000000")
    price("second", "1", "1")
    context, deployment = CallContext(), uuid.uuid4()
    recording = Recording("route:fast", context, 40)
    recording.see(AIMessageChunk(content="half an answ"))
    recording.tried(uuid.uuid4(), "a", "openai", "first", "failed", "BrokenAnswer", 7.0)
    recording.see(said("a whole answer", 10, 4))
    last = recording.tried(deployment, "b", "openai", "second", "succeeded", "", 3.0)
    recording.finish()
    row = ModelCall.objects.get()
    assert (last.input_tokens, last.output_tokens) == (10, 4)
    assert (row.input_tokens, row.output_tokens, row.is_estimate) == (10 + 10, 3 + 4, True)
    assert row.cost == 13 + Decimal("0.000014")
    assert (row.route, row.provider, row.model, row.deployment_id) == ("route:fast", "openai", "second", deployment)
    assert [(each["deployment"], each["outcome"], each["error"]) for each in row.tries] == [
        ("a", "failed", "BrokenAnswer"), ("b", "succeeded", ""),
    ]  # fmt: skip
    assert (context.meter.total.input_tokens, context.meter.total.cost) == (row.input_tokens, row.cost)


def test_of_an_answer_that_broke_off_the_provider_knew_only_the_beginning() -> None:
    recording = Recording("openai:m", CallContext(), 4)
    recording.see(said("x" * 400, 30, 1))
    answered(recording, error="BrokenAnswer")
    recording.finish(ModelTimeout())
    row = ModelCall.objects.get()
    assert (row.input_tokens, row.output_tokens, row.is_estimate) == (30, 100, True)


def test_a_hit_costs_nothing_and_says_what_it_saved() -> None:
    price("m", "1000000", "1000000")
    context, entry = CallContext(), uuid.uuid4()
    recording = Recording("openai:m", context, 40)
    recording.began()
    found = Provenance(
        tier="semantic", why="hit", entry_id=entry, similarity=0.97, age_seconds=60.0, evidence={"score": 0.9},
        saved_input_tokens=10, saved_output_tokens=4, saved_cost=Decimal("0.5"), saved_ms=900.0,
    )  # fmt: skip
    recording.finish(notes=CallNotes(provenance=found))
    row = ModelCall.objects.get()
    assert (row.tier, row.cache_why, row.cache_entry_id, row.similarity) == ("semantic", "hit", entry, 0.97)
    assert (row.cost, row.input_tokens, row.output_tokens, row.tries) == (NONE, 0, 0, [])
    assert (row.saved_input_tokens, row.saved_output_tokens, row.saved_cost, row.saved_ms) == (
        10,
        4,
        Decimal("0.5"),
        900,
    )
    assert (row.age_seconds, row.cache_evidence) == (60, {"score": 0.9})
    assert row.first_token_ms is not None
    assert (row.provider, row.model) == ("openai", "m")
    assert (context.meter.total.input_tokens, context.meter.total.cost) == (0, NONE)


def test_a_call_that_has_cost_something_is_no_hit_whatever_is_said_of_it() -> None:
    price("m")
    recording = Recording("openai:m", CallContext(), 40)
    recording.see(said("hi", 10, 5))
    answered(recording)
    recording.finish(notes=CallNotes(provenance=Provenance(tier="exact", why="shadow")))
    row = ModelCall.objects.get()
    assert (row.tier, row.cache_why, row.cost) == ("", "shadow", Decimal("0.00002"))


def test_what_came_near_is_recorded_of_a_call_that_the_provider_answered() -> None:
    recording = Recording("openai:m", CallContext(), 40)
    recording.see(said("hi", 10, 5))
    answered(recording)
    found = Provenance(why=CacheWhy.NEAR_MISS, similarity=0.91, evidence={"score": 0.7})
    recording.finish(notes=CallNotes(provenance=found))
    row = ModelCall.objects.get()
    assert (row.tier, row.cache_why, row.similarity, row.cache_entry_id) == ("", "near_miss", 0.91, None)
    assert row.cache_evidence == {"score": 0.7}


def test_a_row_is_written_once_and_has_the_id_that_was_told_before() -> None:
    recording = Recording("scripted:echo", CallContext(), 4)
    recording.see(AIMessage(content="hi"))
    recording.finish()
    recording.finish(ModelTimeout())
    assert ModelCall.objects.get().pk == recording.call_id
    assert ModelCall.objects.get().outcome == "succeeded"
