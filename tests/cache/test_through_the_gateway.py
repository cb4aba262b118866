"""A model of the gateway with the cache above it."""

from __future__ import annotations

import uuid
from decimal import Decimal
from typing import Any

import pytest
from langchain_core.messages import AIMessage, HumanMessage
from langchain_core.outputs import ChatGeneration
from pydantic import BaseModel

from agents.cache.models import CacheEntry
from agents.cache.pieces import read, written
from agents.cache.refreshing import ask_again
from agents.gateway.answers import ModelRequest
from agents.gateway.chat import chat_model
from agents.gateway.data import CallContext
from agents.gateway.models import ModelCall
from tests.cache.fakes import AGENT, OWNER, VERSION
from tests.gateway.upstream import Answer, Upstream, upstream

pytestmark = pytest.mark.django_db(transaction=True)


def _model(server: Upstream, monkeypatch: pytest.MonkeyPatch, **context: Any) -> Any:
    monkeypatch.setenv("OPENAI_API_KEY", "sk-test-secret-key")
    monkeypatch.setenv("OPENAI_BASE_URL", server.url)
    fields = {"agent_id": AGENT, "agent_version_id": VERSION, "owner_id": OWNER} | context
    return chat_model("openai:m", parameters={}, context=CallContext(**fields))


def test_the_second_stream_costs_nothing_and_its_row_says_so(monkeypatch: pytest.MonkeyPatch) -> None:
    with upstream(Answer()) as server:
        texts = ["".join(piece.text for piece in _model(server, monkeypatch).stream("hi")) for _ in range(2)]
    assert texts == ["Good day", "Good day"]
    assert len(server.requests) == 1
    asked, hit = ModelCall.objects.order_by("started_at")
    assert (asked.tier, asked.cache_why, asked.input_tokens, asked.output_tokens) == ("", "miss", 7, 2)
    assert (hit.tier, hit.cache_why, hit.input_tokens, hit.output_tokens, hit.cost) == (
        "exact",
        "hit",
        0,
        0,
        Decimal(0),
    )
    assert (hit.saved_input_tokens, hit.saved_output_tokens) == (7, 2)
    assert hit.cache_entry_id == CacheEntry.objects.get().pk


def test_a_hit_does_not_count_against_what_a_task_may_spend(monkeypatch: pytest.MonkeyPatch) -> None:
    with upstream(Answer()) as server:
        [*_model(server, monkeypatch).stream("hi")]
        model = _model(server, monkeypatch)
        joined = None
        for piece in model.stream("hi"):
            joined = piece if joined is None else joined + piece
    assert joined is not None
    assert joined.usage_metadata["total_tokens"] == 9
    assert joined.response_metadata["mutirao_cache"]["tier"] == "exact"
    assert model.context.meter.total.input_tokens == 0


def test_a_caller_can_pass_the_cache_by(monkeypatch: pytest.MonkeyPatch) -> None:
    with upstream(Answer()) as server:
        for _ in range(2):
            [*_model(server, monkeypatch, cache_wishes={"use": "bypass"}).stream("hi")]
    assert len(server.requests) == 2
    assert {*ModelCall.objects.values_list("cache_why", flat=True)} == {"bypass"}


def test_bound_tools_are_scope(monkeypatch: pytest.MonkeyPatch) -> None:
    def look(place: str) -> str:
        """Looks."""
        return place

    with upstream(Answer()) as server:
        model = _model(server, monkeypatch)
        [*model.stream("hi")]
        [*model.bind_tools([look]).stream("hi")]
        [*model.bind_tools([look]).stream("hi")]
    assert len(server.requests) == 2


class Parcel(BaseModel):
    """A parcel."""

    number: int


def test_a_structured_answer_is_parsed_again_from_what_was_kept() -> None:
    message = AIMessage("{}", additional_kwargs={"parsed": Parcel(number=3)})
    again = read(written(ChatGeneration(message=message))).message
    assert Parcel(**again.additional_kwargs["parsed"]) == Parcel(number=3)


def test_a_refresh_beside_the_calls_is_a_row_of_the_owner(monkeypatch: pytest.MonkeyPatch) -> None:
    with upstream(Answer(), Answer(pieces=("Good", " night"))) as server:
        model = _model(server, monkeypatch, task_id=uuid.uuid4())
        [*model.stream("hi")]
        asked = ModelRequest("openai:m", {}, [HumanMessage("hi")], {}, streamed=True, context=model.context)
        assert ask_again(asked, {"use": "refresh"}, owner_id=model.context.owner_id).text == "Good night"
        assert "".join(piece.text for piece in _model(server, monkeypatch).stream("hi")) == "Good night"
    assert len(server.requests) == 2
    refreshed = ModelCall.objects.get(cache_why="refresh")
    assert (refreshed.owner_id, refreshed.task_id) == (OWNER, None)
