"""The same request is answered by the same answer, without the provider."""

from __future__ import annotations

import time
import uuid
from datetime import timedelta
from decimal import Decimal
from typing import Any

import pytest
from django.db import transaction
from django.utils import timezone
from langchain_core.messages import AIMessage, AIMessageChunk, HumanMessage, SystemMessage, ToolMessage
from langchain_core.outputs import ChatGeneration, ChatGenerationChunk

from accounts.audit import SYSTEM
from agents.cache import hits, hot, link, services, store
from agents.cache.background import background
from agents.cache.effects import register_effects
from agents.cache.models import CacheEntry
from agents.definitions.models import AgentVersion
from agents.gateway import routing
from agents.gateway.models import Deployment, Route, RouteStep
from foundation.statements import Selection
from tests.cache.fakes import AGENT, OWNER, VERSION, Provider, ask, request, said_whole, saying

pytestmark = pytest.mark.django_db(transaction=True)


def test_a_streamed_answer_is_replayed_as_the_stream_that_it_was() -> None:
    provider = Provider([saying("Good", " ", "day")])
    first, second = ask(provider, request("hi")), ask(provider, request("hi"))
    assert (first.tier, first.why, second.tier, second.why) == ("", "miss", "exact", "hit")
    assert first.texts == second.texts == ["Good", " ", "day"]
    assert provider.calls == 1


def test_usage_is_intact_and_what_was_saved_is_told() -> None:
    provider = Provider([saying("Good", " day")])
    ask(provider, request("hi"))
    reply = ask(provider, request("hi"))
    usages = [getattr(each.message, "usage_metadata", None) for each in reply.generations]
    usage = [each for each in usages if each]
    assert usage == [{"input_tokens": 7, "output_tokens": 2, "total_tokens": 9}]
    told = reply.provenance
    assert (told.saved_input_tokens, told.saved_output_tokens, told.saved_cost) == (7, 2, Decimal("0.25"))
    assert told.saved_ms == 1234.0
    entry = CacheEntry.objects.get()
    assert told.entry_id == entry.pk
    assert reply.shown["tier"] == "exact"
    assert reply.shown["entry"] == str(entry.pk)
    assert reply.shown["age"] >= 0


def test_a_streamed_answer_serves_who_wants_it_whole_and_the_other_way_round() -> None:
    provider = Provider([saying("Good", " day")])
    ask(provider, request("hi"))
    whole = ask(provider, request("hi", streamed=False))
    assert [type(each) for each in whole.generations] == [ChatGeneration]
    assert isinstance(whole.generations[0].message, AIMessage)
    assert whole.text == "Good day"
    assert whole.generations[0].message.response_metadata["finish_reason"] == "stop"
    other = Provider([said_whole("Bye")])
    ask(other, request("bye", streamed=False))
    streamed = ask(other, request("bye"))
    assert all(isinstance(each, ChatGenerationChunk) for each in streamed.generations)
    assert (streamed.text, streamed.tier, other.calls) == ("Bye", "exact", 1)


def test_tool_calls_are_replayed_under_ids_of_their_own() -> None:
    call = {"name": "look", "args": '{"a": 1}', "id": "call_one", "index": 0, "type": "tool_call_chunk"}
    chunks = [
        ChatGenerationChunk(message=AIMessageChunk(content="", tool_call_chunks=[call])),  # type: ignore[list-item]
        ChatGenerationChunk(message=AIMessageChunk(content=""), generation_info={"finish_reason": "tool_calls"}),
    ]
    provider = Provider([chunks])
    ask(provider, request("look"))
    reply = ask(provider, request("look", streamed=False))
    message = reply.generations[0].message
    assert isinstance(message, AIMessage)
    assert [(each["name"], each["args"]) for each in message.tool_calls] == [("look", {"a": 1})]
    assert message.tool_calls[0]["id"] != "call_one"
    assert CacheEntry.objects.get().is_exact_only


def test_the_ids_of_tool_calls_do_not_make_another_request() -> None:
    register_effects(lambda _name, _version: False)
    provider = Provider([saying("three days")])

    def asked(name: str) -> Any:
        called = AIMessage("", tool_calls=[{"name": "days", "args": {"to": "pt"}, "id": name}])
        return request("how long?", called, ToolMessage("3", tool_call_id=name))

    ask(provider, asked("call_a"))
    assert ask(provider, asked("call_b")).tier == "exact"
    assert provider.calls == 1


def test_nothing_is_kept_after_tools_with_effects_or_that_nobody_knows() -> None:
    called = AIMessage("", tool_calls=[{"name": "pay", "args": {}, "id": "1"}])
    asked = request("pay", called, ToolMessage("paid", tool_call_id="1"))
    provider = Provider([saying("done")])
    for known in (None, lambda _name, _version: True):
        register_effects(known)
        assert ask(provider, asked).why == "uncacheable:effects"
    assert (provider.calls, CacheEntry.objects.count()) == (2, 0)
    register_effects(lambda _name, _version: False)
    ask(provider, asked)
    assert CacheEntry.objects.count() == 1


@pytest.mark.parametrize("reason", ["length", "content_filter", "MAX_TOKENS", "SAFETY", "something_new"])
def test_a_truncated_or_refused_answer_is_not_kept(reason: str) -> None:
    provider = Provider([saying("Once upon", reason=reason)])
    assert ask(provider, request("tell")).text == "Once upon"
    assert ask(provider, request("tell")).why == "miss"
    assert (provider.calls, CacheEntry.objects.count()) == (2, 0)


def test_a_refusal_an_empty_answer_and_a_broken_tool_call_are_not_kept() -> None:
    refusal = ChatGeneration(message=AIMessage("No.", additional_kwargs={"refusal": "No."}))
    broken = {"name": "look", "args": '{"a": ', "id": "1", "index": 0, "type": "tool_call_chunk"}
    unread = ChatGenerationChunk(message=AIMessageChunk(content="", tool_call_chunks=[broken]))  # type: ignore[list-item]
    for answer in ([refusal], saying(""), [unread]):
        ask(Provider([answer]), request("tell"))
    assert CacheEntry.objects.count() == 0


def test_an_error_goes_through_and_is_not_kept() -> None:
    provider = Provider([ValueError("broken"), saying("fine")])
    with pytest.raises(ValueError, match="broken"):
        ask(provider, request("hi"))
    assert ask(provider, request("hi")).text == "fine"
    assert ask(provider, request("hi")).tier == "exact"


def test_an_answer_that_nobody_heard_to_its_end_is_not_kept() -> None:
    from agents.cache.answers import CachedAnswers
    from agents.gateway.answers import CallNotes

    given = CachedAnswers().through(request("hi"), Provider([saying("a", "b")]), CallNotes())
    next(given)
    given.close()  # type: ignore[attr-defined]
    assert CacheEntry.objects.count() == 0


@pytest.mark.parametrize(
    ("asked", "why"),
    [
        (request("hi", agent_version_id=None), "uncacheable:no_agent"),
        (request("hi", owner_id=None), "uncacheable:no_owner"),
        (request("hi", options={"temperature": 0.9}), "uncacheable:temperature"),
        (request("hi", parameters={"model_kwargs": {"temperature": 0.9}}), "uncacheable:temperature"),
        (request("hi", options={"tools": [object()]}), "uncacheable:content"),
        (request("hi", parameters={"seed": float("nan")}), "uncacheable:content"),
        (request("hi", options={"logit_bias": {1: 2}}), "uncacheable:content"),
        (request("hi", policy={"mode": "off"}), "off"),
        (request("hi", wishes={"mode": "off"}), "off"),
        (request("hi", wishes={"use": "bypass"}), "bypass"),
    ],
)
def test_what_is_left_alone_says_why(asked: Any, why: str) -> None:
    provider = Provider([saying("hello")])
    assert [ask(provider, asked).why for _ in range(2)] == [why, why]
    assert (provider.calls, CacheEntry.objects.count()) == (2, 0)


def test_a_high_temperature_is_kept_when_the_agent_says_so() -> None:
    provider = Provider([saying("hello")])
    asked = request("hi", options={"temperature": 0.9}, policy={"any_temperature": True})
    ask(provider, asked)
    assert ask(provider, asked).tier == "exact"


def test_refresh_asks_anew_and_its_answer_takes_the_place_of_the_other() -> None:
    provider = Provider([saying("one"), saying("two")])
    ask(provider, request("hi"))
    refreshed = ask(provider, request("hi", wishes={"use": "refresh"}))
    assert (refreshed.text, refreshed.why) == ("two", "refresh")
    assert ask(provider, request("hi")).text == "two"
    reasons = [*CacheEntry.objects.order_by("created_at").values_list("evicted_because", flat=True)]
    assert reasons == ["replaced", ""]


def test_a_caller_can_say_how_old_an_answer_may_be() -> None:
    provider = Provider([saying("old"), saying("new")])
    ask(provider, request("hi"))
    _age(seconds=100)
    assert ask(provider, request("hi", wishes={"max_age": 1000})).text == "old"
    assert ask(provider, request("hi", wishes={"max_age": 50})).text == "new"


def _age(*, seconds: float) -> None:
    """Makes all entries so much older, and lets nobody remember them."""
    gone = timedelta(seconds=seconds)
    for entry in CacheEntry.objects.all():
        CacheEntry.objects.filter(pk=entry.pk).update(
            answered_at=entry.answered_at - gone, stale_at=entry.stale_at - gone, expires_at=entry.expires_at - gone
        )
    hot.evicted([AGENT])


def test_an_expired_answer_is_not_given() -> None:
    provider = Provider([saying("old"), saying("new")])
    asked = request("hi", policy={"ttl": 60, "stale": 60})
    ask(provider, asked)
    _age(seconds=121)
    assert ask(provider, asked).text == "new"
    assert CacheEntry.objects.get(evicted_at__isnull=False).evicted_because == "expired"


def test_a_stale_answer_is_given_while_one_refresh_asks_anew(monkeypatch: pytest.MonkeyPatch) -> None:
    provider = Provider([saying("old")])
    asked = request("hi", policy={"ttl": 60, "stale": 60})
    ask(provider, asked)
    _age(seconds=61)
    refreshed: list[Any] = []

    def noted(_work: Any, *given: Any) -> bool:
        refreshed.append(given)
        return True

    monkeypatch.setattr(background, "do", noted)
    replies = [ask(provider, asked) for _ in range(3)]
    assert [(each.text, each.tier, each.why) for each in replies] == [("old", "exact", "stale")] * 3
    assert (len(refreshed), provider.calls) == (1, 1)


def test_a_stale_answer_is_asked_anew_for_the_owner_without_a_task(monkeypatch: pytest.MonkeyPatch) -> None:
    from agents.cache import refreshing
    from agents.gateway import chat

    made: list[Any] = []

    class Model:
        def stream(self, messages: Any, **options: Any) -> Any:
            made.append((messages, options))
            return iter([AIMessageChunk(content="new")])

    def chat_model(target: str, *, parameters: Any, context: Any) -> Model:
        made.append((target, parameters, context))
        return Model()

    monkeypatch.setattr(chat, "chat_model", chat_model)
    asked = request("hi", options={"stop": ["."]}, task_id=uuid.uuid4())
    assert refreshing.ask_again(asked, {"use": "refresh"}, owner_id=OWNER).text == "new"
    target, _parameters, context = made[0]
    assert (target, context.owner_id, context.task_id) == ("openai:m", OWNER, None)
    assert context.cache_wishes == {"use": "refresh"}
    assert made[1][1] == {"stop": ["."]}


def test_an_evicted_answer_is_not_given_however_hot_it_is() -> None:
    provider = Provider([saying("one"), saying("two")])
    for _ in range(3):
        assert ask(provider, request("hi")).text == "one"
    entry = CacheEntry.objects.get()
    assert services.evict(entry_ids=[entry.pk], actor=SYSTEM) == 1
    assert ask(provider, request("hi")).text == "two"


def test_what_another_process_evicts_is_not_taken_from_redis() -> None:
    provider = Provider([saying("one"), saying("two")])
    ask(provider, request("hi"))
    entry = CacheEntry.objects.get()
    hot.here.forget()
    assert hot.look(entry.exact, AGENT).stored is not None
    store.evict(CacheEntry.objects.all(), CacheEntry.Evicted.OPERATOR)
    assert hot.look(entry.exact, AGENT).stored is None
    assert ask(provider, request("hi")).text == "two"


def test_what_this_process_holds_itself_it_looks_at_again_after_a_second(monkeypatch: pytest.MonkeyPatch) -> None:
    provider = Provider([saying("one"), saying("two")])
    ask(provider, request("hi"))
    with transaction.atomic():
        CacheEntry.objects.update(evicted_at=timezone.now(), evicted_because="operator")
    # Another process has raised the number; this one has not heard of it.
    link.ask(lambda client: client.incr(link.key("number", str(AGENT))))
    assert ask(provider, request("hi")).text == "one"
    now = time.monotonic()
    monkeypatch.setattr(time, "monotonic", lambda: now + hot.HERE_SECONDS + 0.1)
    assert ask(provider, request("hi")).text == "two"


def test_answers_are_evicted_by_tag_version_agent_and_epoch() -> None:
    policy = {"tags": ["prices"], "knowledge": ["handbook"]}
    provider = Provider([saying("hello")])

    def keep(**context: Any) -> None:
        ask(provider, request("hi", policy=policy, **context))

    keep()
    assert services.evict_tag(tag="other", actor=SYSTEM) == 0
    assert services.evict_tag(tag="prices", actor=SYSTEM) == 1
    keep()
    newer = AgentVersion(pk=uuid.uuid4(), number=2)
    keep(agent_version_id=newer.pk)
    assert services.evict_agent(agent_id=AGENT, version=newer, actor=SYSTEM) == 1
    assert CacheEntry.objects.live().get().agent_version_id == VERSION
    assert services.evict_agent(agent_id=AGENT, actor=SYSTEM) == 1
    keep()
    assert services.bump_epoch(name="handbook", actor=SYSTEM) == services.Bumped(1, 1)
    assert services.bump_epoch(name="handbook", actor=SYSTEM) == services.Bumped(2, 0)
    reasons = CacheEntry.objects.order_by("created_at").values_list("evicted_because", flat=True)
    assert [*reasons] == ["tag", "operator", "version", "epoch"]


def test_changed_knowledge_is_another_scope() -> None:
    provider = Provider([saying("hello")])
    policy = {"knowledge": ["handbook"]}
    ask(provider, request("hi", policy=policy))
    # By number alone: the row stays live.
    CacheEntry.objects.get().tags.all().delete()
    services.bump_epoch(name="handbook")
    assert ask(provider, request("hi", policy=policy)).why == "miss"
    assert CacheEntry.objects.filter(evicted_at=None).count() == 2


def test_an_answer_is_shared_only_where_the_agent_says_so() -> None:
    other = uuid.uuid4()
    provider = Provider([saying("hello")])
    ask(provider, request("hi"))
    assert ask(provider, request("hi", owner_id=other)).why == "miss"
    shared = {"shareable": True}
    assert ask(provider, request("hi", policy=shared)).why == "miss"
    assert ask(provider, request("hi", policy=shared, owner_id=other)).tier == "exact"
    assert provider.calls == 3


def test_a_system_prompt_in_the_messages_is_scope() -> None:
    provider = Provider([saying("hello")])
    ask(provider, request(SystemMessage("Be kind."), HumanMessage("hi")))
    ask(provider, request(SystemMessage("Be brief."), HumanMessage("hi")))
    scopes = CacheEntry.objects.values_list("scope", flat=True)
    assert len({*scopes}) == 2


def test_hits_are_counted_in_batches() -> None:
    provider = Provider([saying("hello")])
    for _ in range(5):
        ask(provider, request("hi"))
    assert CacheEntry.objects.get().hits == 0
    assert hits.given.flush() == 4
    entry = CacheEntry.objects.get()
    assert (entry.hits, entry.last_hit_at is not None) == (4, True)


def test_without_redis_rows_answer(settings: Any) -> None:
    settings.REDIS_URL = "redis://127.0.0.1:1/0"
    provider = Provider([saying("hello")])
    ask(provider, request("hi"))
    hot.here.forget()
    assert ask(provider, request("hi")).tier == "exact"
    assert provider.calls == 1


def test_when_the_database_is_away_the_provider_is_asked(monkeypatch: pytest.MonkeyPatch) -> None:
    from django.db.models import QuerySet
    from django.db.utils import OperationalError

    def away(*_given: Any, **_more: Any) -> Any:
        raise OperationalError("away")

    provider = Provider([saying("hello")])
    ask(provider, request("hi"))
    hot.evicted([AGENT])
    monkeypatch.setattr(QuerySet, "values_list", away)
    monkeypatch.setattr(Selection, "rows", away)
    monkeypatch.setattr("agents.cache.store.transaction.atomic", away)
    reply = ask(provider, request("hi"))
    assert (reply.text, reply.tier, provider.calls) == ("hello", "", 2)


def test_a_row_of_another_form_is_no_answer() -> None:
    provider = Provider([saying("hello")])
    ask(provider, request("hi"))
    CacheEntry.objects.update(answer={"message": {}, "pieces": [{"nothing": 1}]})
    hot.evicted([AGENT])
    assert ask(provider, request("hi")).text == "hello"
    assert provider.calls == 2


def test_a_thumbs_down_evicts_what_a_task_was_given_and_tells_who_learns() -> None:
    from agents.cache import observing
    from agents.gateway.models import ModelCall

    provider, task_id = Provider([saying("wrong")]), uuid.uuid4()
    ask(provider, request("hi"))
    entry = CacheEntry.objects.get()
    call = ModelCall.objects.create(
        task_id=task_id, provider="p", model="m", started_at=timezone.now(), latency_ms=1, outcome="succeeded",
        tier="exact", cost=0, cache_entry_id=entry.pk,
    )  # fmt: skip
    told: list[observing.Rejected] = []
    observing.on_rejected(told.append)
    assert services.reject_of_task(task_id=task_id, actor=SYSTEM) == 1
    entry.refresh_from_db()
    assert entry.evicted_because == "rejected"
    assert [(each.entry_id, each.call_id) for each in told] == [(entry.pk, call.pk)]


def test_an_answer_in_very_many_pieces_is_kept_in_fewer() -> None:
    provider = Provider([saying(*[f"{n} " for n in range(2000)])])
    first = ask(provider, request("count"))
    again = ask(provider, request("count"))
    assert again.text == first.text
    assert len(again.generations) <= 256


def test_only_what_followed_a_restart_is_kept() -> None:
    def answer() -> Any:
        from tests.cache.fakes import chunk, ending

        yield chunk("wro")
        yield chunk("", response_metadata={"mutirao_restart": {"why": "fallback"}})
        yield chunk("right")
        yield ending()

    provider = Provider([answer])
    assert ask(provider, request("hi")).text == "wroright"
    assert ask(provider, request("hi")).text == "right"


def test_the_version_of_the_agent_is_scope() -> None:
    provider = Provider([saying("hello")])
    ask(provider, request("hi"))
    assert ask(provider, request("hi", agent_version_id=uuid.uuid4())).why == "miss"
    assert ask(provider, request("hi", agent_version_id=VERSION)).tier == "exact"


def test_a_route_that_leads_to_another_model_is_another_scope() -> None:
    route = Route.objects.create(name="main")
    first = Deployment.objects.create(name="one", provider="openai", model="m")
    step = RouteStep.objects.create(route=route, deployment=first)
    routing.forget()
    provider = Provider([saying("hello")])
    asked = request("hi", target="route:main")
    ask(provider, asked)
    assert ask(provider, asked).tier == "exact"
    step.deployment = Deployment.objects.create(name="two", provider="openai", model="other")
    step.save()
    routing.forget()
    assert ask(provider, asked).why == "miss"
    Deployment.objects.update(parameters={"temperature": 1})
    routing.forget()
    assert ask(provider, asked).why == "uncacheable:temperature"
    routing.forget()


def test_so_is_one_whose_longer_requests_go_elsewhere() -> None:
    small, large = (Deployment.objects.create(name=name, provider="openai", model=name) for name in ("s", "l"))
    longer = Route.objects.create(name="longer")
    # Each the other's, as two routes may be.
    route = Route.objects.create(name="main", longer_route=longer, refused_route=longer)
    Route.objects.filter(pk=longer.pk).update(refused_route=route)
    RouteStep.objects.create(route=route, deployment=small)
    step = RouteStep.objects.create(route=longer, deployment=small)
    routing.forget()
    provider = Provider([saying("hello")])
    asked = request("hi", target="route:main")
    ask(provider, asked)
    assert ask(provider, asked).tier == "exact"
    step.deployment = large
    step.save()
    routing.forget()
    assert ask(provider, asked).why == "miss"
    routing.forget()
