"""Calls through the gateway, against a server that speaks OpenAI's protocol."""

from __future__ import annotations

from datetime import UTC, datetime
from decimal import Decimal
from typing import Any

import pytest

from agents.gateway import prices
from agents.gateway.chat import chat_model
from agents.gateway.data import CallContext
from agents.gateway.exceptions import (
    CostLimitReached,
    MissingProviderPackage,
    ModelRateLimited,
    ModelUnauthorized,
    ModelUnavailable,
    PriceUnknown,
    TokenLimitReached,
    UnknownProvider,
)
from agents.gateway.models import ModelCall, Price
from agents.gateway.providers import MODULES, validate_model_name
from agents.gateway.restarts import restart_of
from agents.tasks.data import Usage
from tests.gateway.upstream import Answer, Upstream, upstream

pytestmark = pytest.mark.django_db


def _model(server: Upstream, monkeypatch: pytest.MonkeyPatch, **context: Any) -> Any:
    monkeypatch.setenv("OPENAI_API_KEY", "sk-test-secret-key")
    monkeypatch.setenv("OPENAI_BASE_URL", server.url)
    return chat_model("openai:m", parameters={}, context=CallContext(**context))


def test_a_streamed_call_leaves_one_row_with_the_providers_counts(monkeypatch: pytest.MonkeyPatch) -> None:
    with upstream(Answer()) as server:
        model = _model(server, monkeypatch)
        assert "".join(piece.text for piece in model.stream("hi")) == "Good day"
    row = ModelCall.objects.get()
    assert (row.outcome, row.input_tokens, row.output_tokens, row.is_estimate) == ("succeeded", 7, 2, False)
    assert row.cost is None
    assert row.first_token_ms is not None
    assert len(server.requests) == 1


def test_a_failure_before_the_first_token_is_tried_again(monkeypatch: pytest.MonkeyPatch) -> None:
    with upstream(Answer(status=500), Answer()) as server:
        assert len(list(_model(server, monkeypatch).stream("hi"))) > 1
    assert len(server.requests) == 2
    assert ModelCall.objects.get().outcome == "succeeded"


def test_a_failure_after_the_first_token_is_tried_again_and_told(monkeypatch: pytest.MonkeyPatch) -> None:
    with upstream(Answer(breaks=True), Answer()) as server:
        pieces = list(_model(server, monkeypatch).stream("hi"))
    restarts = [piece.response_metadata["mutirao_restart"] for piece in pieces if restart_of(piece)]
    assert restarts == [{"from": "openai:m", "why": "ModelUnavailable"}]
    assert sum(pieces[1:], start=pieces[0]).text == "Good day"
    assert len(server.requests) == 2
    assert ModelCall.objects.get().outcome == "succeeded"


def test_an_answer_that_always_breaks_fails_after_its_tries(monkeypatch: pytest.MonkeyPatch) -> None:
    with upstream(Answer(breaks=True)) as server, pytest.raises(ModelUnavailable):
        list(_model(server, monkeypatch).stream("hi"))
    assert len(server.requests) == 3
    row = ModelCall.objects.get()
    assert (row.outcome, [each["outcome"] for each in row.tries]) == ("failed", ["failed"] * 3)


@pytest.mark.parametrize(("status", "error"), [(401, ModelUnauthorized), (429, ModelRateLimited)])
def test_a_refusal_is_told_without_the_key(
    status: int, error: type[Exception], monkeypatch: pytest.MonkeyPatch
) -> None:
    refusal = Answer(status=status, headers={"Retry-After": "3"})
    with upstream(refusal) as server, pytest.raises(error) as raised:
        list(_model(server, monkeypatch).stream("hi"))
    row = ModelCall.objects.get()
    assert "sk-test-secret-key" not in str(raised.value) + row.error_message
    assert (len(server.requests), row.error_type) == (1, error.__name__)
    if status == 429:
        assert getattr(raised.value, "retry_after", None) == 3


def test_an_abandoned_stream_is_recorded_as_cancelled(monkeypatch: pytest.MonkeyPatch) -> None:
    with upstream(Answer()) as server:
        stream = _model(server, monkeypatch).stream("hi")
        next(stream)
        stream.close()
    assert ModelCall.objects.get().outcome == "cancelled"


def test_no_call_is_made_beyond_the_token_limit(monkeypatch: pytest.MonkeyPatch) -> None:
    with upstream(Answer()) as server:
        model = _model(server, monkeypatch, token_limit=9)
        list(model.stream("hi"))
        with pytest.raises(TokenLimitReached):
            list(model.stream("hi"))
    assert len(server.requests) == 1


def test_what_earlier_attempts_have_spent_counts(monkeypatch: pytest.MonkeyPatch) -> None:
    with upstream(Answer()) as server:
        model = _model(server, monkeypatch, token_limit=9, spent=Usage(input_tokens=5, output_tokens=4))
        with pytest.raises(TokenLimitReached):
            list(model.stream("hi"))
    assert server.requests == []


def test_a_cost_limit_is_kept_or_the_call_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    with upstream(Answer()) as server:
        with pytest.raises(PriceUnknown):
            list(_model(server, monkeypatch, cost_limit=Decimal(1)).stream("hi"))
        since = datetime(2025, 1, 1, tzinfo=UTC)
        Price.objects.create(provider="openai", model="m", valid_from=since, input_price=0, output_price=200_000)
        prices.forget()
        model = _model(server, monkeypatch, cost_limit=Decimal(1), spent=Usage(cost=Decimal("0.3")))
        list(model.stream("hi"))
        list(model.stream("hi"))
        with pytest.raises(CostLimitReached):
            list(model.stream("hi"))
    assert len(server.requests) == 2


def test_names_that_cannot_be_used_say_why() -> None:
    with pytest.raises(UnknownProvider, match="openai"):
        validate_model_name("nobody:x")
    with pytest.raises(MissingProviderPackage, match="langchain-anthropic"):
        validate_model_name("anthropic:claude")
    with pytest.raises(ModelUnauthorized, match="OPENAI_API_KEY"):
        chat_model("openai:m", parameters={}, context=CallContext())


def test_the_providers_are_langchains() -> None:
    from langchain.chat_models.base import _BUILTIN_PROVIDERS

    assert {name: entry[0].partition(".")[0] for name, entry in _BUILTIN_PROVIDERS.items()} == MODULES
