"""Which streams are kept: those of which it is known that they were heard to their end."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import pytest
from langchain_core.messages import AIMessageChunk
from langchain_core.outputs import ChatGenerationChunk

from agents.cache.models import CacheEntry
from agents.gateway.chat import chat_model
from agents.gateway.data import CallContext
from agents.gateway.models import Route
from agents.testing import ScriptedChatModel, named_model
from tests.cache.fakes import AGENT, OWNER, VERSION, Provider, ask, chunk, request, said_whole
from tests.gateway.routes import deployment, route

pytestmark = pytest.mark.django_db(transaction=True)


def _note(**metadata: Any) -> ChatGenerationChunk:
    return ChatGenerationChunk(message=AIMessageChunk(content="", response_metadata=metadata))


@pytest.mark.parametrize("target", ["anthropic:m", "ollama:m"])
def test_a_stream_that_ends_and_gives_no_reason_is_not_kept(target: str) -> None:
    reply = ask(Provider([[chunk("Once "), chunk("upon")]]), request("tell", target=target))
    assert reply.text == "Once upon"
    assert (reply.provenance.evidence or {})["not_kept"] == "truncated"
    assert not CacheEntry.objects.exists()


@pytest.mark.parametrize(
    "ending",
    [
        _note(stop_reason="end_turn"), _note(stopReason="end_turn"), _note(done_reason="stop"),
        _note(status="completed"),
        ChatGenerationChunk(message=AIMessageChunk(content=""), generation_info={"finish_reason": "STOP"}),
        chunk("", chunk_position="last"),
    ],
)  # fmt: skip
def test_one_that_says_that_it_is_over_is_kept(ending: ChatGenerationChunk) -> None:
    provider = Provider([[chunk("Good "), chunk("day"), ending]])
    for _call in range(2):
        assert ask(provider, request("hi", target="anthropic:m")).text == "Good day"
    assert provider.calls == 1


def test_a_response_that_was_not_completed_is_not_kept() -> None:
    ask(Provider([[chunk("Once upon"), _note(status="incomplete")]]), request("tell"))
    assert not CacheEntry.objects.exists()


def test_a_reason_of_what_was_begun_anew_is_none_of_what_came_after() -> None:
    begun_anew = _note(mutirao_restart={"deployment": "one", "why": "ModelUnavailable"})
    pieces = [chunk("Good"), _note(stop_reason="end_turn"), begun_anew, chunk("Once upon")]
    ask(Provider([pieces]), request("tell", target="anthropic:m"))
    assert not CacheEntry.objects.exists()


def test_what_came_in_one_is_whole() -> None:
    ask(Provider([said_whole("Good day")]), request("hi", target="anthropic:m", streamed=False))
    assert CacheEntry.objects.exists()


def test_openais_protocol_needs_no_reason_as_the_gateway_looks_for_its_end() -> None:
    local = route("local", deployment("one", provider="local"), deployment("two"))
    mixed = route("mixed", deployment("three"), deployment("four", provider="anthropic"))
    elsewhere = route("elsewhere", deployment("five"), longer_route=Route.objects.get(name="mixed"))
    for target, kept in (("openai:m", 1), ("local:smollm2-135m", 2), (local, 3), (mixed, 3), (elsewhere, 3)):
        ask(Provider([[chunk("Good day")]]), request("hi", target=target))
        assert CacheEntry.objects.count() == kept


@contextmanager
def _scripted() -> Iterator[tuple[ScriptedChatModel, Any]]:
    model = ScriptedChatModel(replies=["Good day"], repeat_last=True)
    with named_model(model) as name:
        context = CallContext(agent_id=AGENT, agent_version_id=VERSION, owner_id=OWNER)
        yield model, chat_model(name, parameters={}, context=context)


def test_scripted_models_say_that_they_are_over() -> None:
    with _scripted() as (model, asked):
        for text in ("one", "two"):
            assert [asked.invoke(text).text for _call in range(2)] == ["Good day"] * 2
            assert ["".join(piece.text for piece in asked.stream(f"{text}!")) for _call in range(2)] == ["Good day"] * 2
        assert len(model.requests) == 4
