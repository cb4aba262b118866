"""Answers given by meaning: where, from which score on, and what is told of it."""

from __future__ import annotations

import time
import uuid
from datetime import timedelta
from typing import Any

import pytest
from langchain_core.messages import AIMessage, HumanMessage

from accounts.audit import SYSTEM
from agents.cache import hot, observing, services
from agents.cache.models import CacheEntry, Calibration
from agents.cache.vectors import matrices
from foundation.models import new_id
from tests.cache.fakes import AGENT, Provider, ask, request, saying

pytestmark = pytest.mark.django_db(transaction=True)
SEMANTIC = {"mode": "semantic"}


def _asked(*messages: Any, **more: Any) -> Any:
    return request(*messages, policy=SEMANTIC | more.pop("policy", {}), **more)


def test_a_question_with_the_same_meaning_is_answered_by_the_entry() -> None:
    provider = Provider([saying("In", " Lisbon")])
    ask(provider, _asked("where is the tower of belem"))
    reply = ask(provider, _asked("where is the tower of belem?"))
    assert (reply.text, reply.tier, reply.why) == ("In Lisbon", "semantic", "hit")
    assert reply.texts == ["In", " Lisbon"]
    assert reply.provenance.similarity == pytest.approx(1.0)
    evidence = dict(reply.provenance.evidence or {})
    assert (evidence["score"], evidence["threshold"]) == (1.0, 0.75)
    assert (reply.shown["tier"], reply.shown["score"]) == ("semantic", 1.0)
    # No second entry is made of it: errors would breed.
    assert (provider.calls, CacheEntry.objects.count()) == (1, 1)


def test_the_exact_mode_gives_nothing_by_meaning() -> None:
    provider = Provider([saying("In Lisbon")])
    ask(provider, request("where is the tower", policy={"mode": "exact"}))
    assert ask(provider, request("where is the tower?", policy={"mode": "exact"})).why == "miss"


def test_a_caller_can_be_stricter() -> None:
    provider = Provider([saying("In Lisbon")])
    ask(provider, _asked("where is the old tower of belem"))
    assert ask(provider, _asked("where is the old tower of belem now", wishes={"least_score": 0.99})).why == "near_miss"
    assert ask(provider, _asked("where is the old tower of belem", wishes={"mode": "exact"})).tier == "exact"
    assert ask(provider, _asked("where is the old tower of belem?", wishes={"mode": "exact"})).why == "miss"


def test_a_near_miss_and_a_guard_say_why_nothing_was_served() -> None:
    provider = Provider([saying("In Lisbon")])
    ask(provider, _asked("where is the tower of belem"))
    near = ask(provider, _asked("where is the tower of london please"))
    assert (near.tier, near.why) == ("", "near_miss")
    first = CacheEntry.objects.earliest("created_at")
    # What came near is there for whoever looks into it; the call was not given it.
    assert (near.provenance.evidence or {})["entry"] == str(first.pk)
    assert near.provenance.entry_id is None
    blocked = ask(provider, _asked("where is not the tower of belem"))
    assert (blocked.why, dict(blocked.provenance.evidence or {})["blocked_by"]) == ("blocked", "negation")
    assert ask(provider, _asked("qual é a capital do brasil")).why == "miss"
    assert provider.calls == 4


@pytest.mark.parametrize(
    "other",
    [
        {"owner_id": uuid.uuid4()},
        {"agent_version_id": uuid.uuid4()},
        {"target": "openai:other"},
        {"parameters": {"seed": 1}},
        {"options": {"tools": [{"name": "look"}]}},
        {"options": {"response_format": {"type": "json_object"}}},
    ],
)
def test_nothing_is_given_by_meaning_from_another_scope(other: dict[str, Any]) -> None:
    provider = Provider([saying("In Lisbon")])
    ask(provider, _asked("where is the tower of belem"))
    assert ask(provider, _asked("where is the tower of belem?", **other)).why == "miss"
    assert provider.calls == 2


def test_the_whole_conversation_is_compared_not_its_last_message() -> None:
    provider = Provider([saying("In Lisbon")])
    last = HumanMessage("where is it")
    ask(provider, _asked("tell me of the tower of belem", AIMessage("It is a tower."), last))
    other = ask(provider, _asked("what do you know of big ben clock", AIMessage("It is a bell."), last))
    assert other.tier == ""


def test_conversations_with_tools_pictures_or_calls_are_only_given_exactly() -> None:
    from agents.cache.effects import register_effects

    register_effects(lambda _name, _version: False)
    picture = HumanMessage([{"type": "text", "text": "what is it"}, {"type": "image_url", "image_url": {"url": "x"}}])
    provider = Provider([saying("A tower")])
    for _ in range(2):
        last = ask(provider, _asked(picture))
    assert last.tier == "exact"
    entry = CacheEntry.objects.get()
    assert (entry.is_exact_only, entry.vector, entry.dialogue) == (True, None, [])


def test_an_evicted_or_stale_entry_is_not_given_by_meaning() -> None:
    provider = Provider([saying("In Lisbon")])
    ask(provider, _asked("where is the tower of belem"))
    assert ask(provider, _asked("where is the tower of belem?")).tier == "semantic"
    entry = CacheEntry.objects.get()
    CacheEntry.objects.update(stale_at=entry.answered_at - timedelta(seconds=1))
    assert ask(provider, _asked("where is the Tower of belem?")).tier == ""
    CacheEntry.objects.update(stale_at=entry.stale_at)
    hot.here.forget()
    services.evict_agent(agent_id=AGENT, actor=SYSTEM)
    assert ask(provider, _asked("Where is the tower of belem?")).tier == ""


def test_what_another_process_kept_is_found_a_second_later(monkeypatch: pytest.MonkeyPatch) -> None:
    provider = Provider([saying("In Lisbon")])
    ask(provider, _asked("qual é a capital do brasil"))
    matrices.forget()
    assert ask(provider, _asked("where is the tower of belem")).why == "miss"
    first = CacheEntry.objects.order_by("id").first()
    assert first is not None
    # As another process would keep it.
    copied = CacheEntry.objects.get(pk=first.pk)
    copied.pk, copied.exact = new_id(), "0" * 64
    copied.save(force_insert=True)
    before = matrices.count
    now = time.monotonic()
    monkeypatch.setattr("agents.cache.vectors.time.monotonic", lambda: now + 2.0)
    ask(provider, _asked("anything else at all"))
    assert matrices.count >= before + 1


def test_a_tier_that_is_turned_off_gives_nothing_and_says_so() -> None:
    provider = Provider([saying("In Lisbon")])
    ask(provider, _asked("where is the tower of belem"))
    Calibration.objects.create(agent_id=AGENT, verifier="words-1", error_target=0.01, threshold=0.5, is_off=True)
    reply = ask(provider, _asked("where is the tower of belem?"))
    assert (reply.tier, reply.why) == ("", "turned_off")


def test_a_learned_threshold_counts() -> None:
    provider = Provider([saying("In Lisbon")])
    ask(provider, _asked("where is the tower of belem"))
    Calibration.objects.create(agent_id=AGENT, verifier="words-1", error_target=0.01, threshold=0.3)
    assert ask(provider, _asked("where is the tower of london")).tier == "semantic"


def test_who_learns_is_told_of_hits_near_misses_and_guards() -> None:
    told: list[observing.Compared] = []
    observing.on_compared(told.append)
    provider = Provider([saying("In Lisbon")])
    ask(provider, _asked("where is the tower of belem"))
    first = CacheEntry.objects.get()
    ask(provider, _asked("where is the tower of belem?"))
    ask(provider, _asked("where is the tower of london please"))
    ask(provider, _asked("where is not the tower of belem"))
    assert [each.outcome for each in told] == ["hit", "near_miss", "blocked"]
    assert told[0].entry_id == first.pk
    assert told[0].new_entry_id is None
    near = CacheEntry.objects.get(pk=str(told[1].new_entry_id))
    assert near.question == "where is the tower of london please"
    assert told[1].dialogue == ({"role": "user", "content": "where is the tower of london please"},)


def test_an_embedding_that_fails_leaves_the_provider(monkeypatch: pytest.MonkeyPatch) -> None:
    from tests.cache.fakes import WordMeaning

    def broken(*_given: Any) -> Any:
        raise RuntimeError("broken")

    monkeypatch.setattr(WordMeaning, "vector", broken)
    provider = Provider([saying("In Lisbon")])
    assert ask(provider, _asked("where is the tower")).text == "In Lisbon"
    assert ask(provider, _asked("where is the tower")).tier == "exact"
