"""What the cache keeps of people, how long, and what agents and callers say of it."""

from __future__ import annotations

import uuid
from collections.abc import Callable
from datetime import timedelta
from typing import Any

import pytest
from django.utils import timezone
from rest_framework.test import APIClient

from accounts.models import User
from accounts.privacy import holdings
from agents.cache import hot
from agents.cache.models import CacheEntry
from agents.cache.pruning import old_answers
from agents.definitions.data import Configuration
from agents.definitions.definition import AgentDefinition
from agents.definitions.exceptions import InvalidAgent
from agents.definitions.services import create_agent, publish_version
from agents.definitions.validators import validate
from agents.definitions.versions import digest_of
from agents.gateway.models import ModelCall
from agents.memory.services import post_message, regenerate, start_conversation
from agents.tasks.attempts import claim
from agents.tasks.exceptions import InvalidInput
from agents.tasks.models import Status, Task
from agents.tasks.services import retry, submit
from agents.tools.effects import has_effects
from tests.cache.fakes import Provider, ask, request, saying

pytestmark = pytest.mark.django_db(transaction=True)
Api = Callable[[User], APIClient]


def _holding() -> Any:
    return next(each for each in holdings() if each.name == "cached-answers")


def test_a_person_gets_and_erases_what_they_asked_also_what_others_share(member: User) -> None:
    shared = request("hi all", policy={"shareable": True}, owner_id=member.pk)
    asked = request("hi", owner_id=member.pk)
    provider = Provider([saying("hello")])
    for each in (shared, asked, request("of somebody else", owner_id=uuid.uuid4())):
        ask(provider, each)
    exported = [*_holding().export(member)]
    assert {each["question"] for each in exported} == {"hi", "hi all"}
    assert "vector" not in exported[0]
    assert _holding().erase(member) == 2
    assert CacheEntry.objects.get().question == "of somebody else"
    assert ask(provider, asked).why == "miss"
    assert ask(provider, shared).why == "miss"


def test_words_of_a_person_in_what_others_were_told_go_with_them(member: User, outsider: User) -> None:
    evidence = {"of": str(member.pk), "instead": "Rome, Paris", "score": 0.4, "blocked_by": "names"}
    usual = {"provider": "p", "model": "m", "started_at": timezone.now(), "latency_ms": 1, "outcome": "succeeded"}
    calls = [
        ModelCall.objects.create(owner_id=outsider.pk, cache_why=why, cache_evidence=said, **usual)
        for why, said in (("blocked", evidence), ("near_miss", {**evidence, "of": str(outsider.pk)}))
    ]
    next(each for each in holdings() if each.name == "model-calls").erase(member)
    told = [ModelCall.objects.get(pk=call.pk).cache_evidence for call in calls]
    assert told[0] == {"score": 0.4, "blocked_by": "names"}
    assert told[1] == calls[1].cache_evidence


def test_only_what_is_not_given_any_more_grows_old() -> None:
    provider = Provider([saying("hello")])
    for text in ("live", "expired", "evicted"):
        ask(provider, request(text))
    long_ago = timezone.now() - timedelta(days=30)
    CacheEntry.objects.filter(question="expired").update(stale_at=long_ago, expires_at=long_ago)
    CacheEntry.objects.filter(question="evicted").update(evicted_at=long_ago, evicted_because="tag")
    old = old_answers(timezone.now() - timedelta(days=7))
    assert {*old.values_list("question", flat=True)} == {"expired", "evicted"}


def test_an_agent_without_a_cache_policy_keeps_its_digest() -> None:
    plain = Configuration(parameters={}, limits={})
    assert digest_of(plain) == digest_of(Configuration(parameters={}, limits={}, cache={}))
    assert digest_of(plain) != digest_of(Configuration(parameters={}, limits={}, cache={"mode": "exact"}))


def test_a_wrong_cache_policy_is_refused_under_its_field() -> None:
    with pytest.raises(InvalidAgent) as refused:
        validate(Configuration(parameters={}, limits={}, cache={"mode": "sometimes", "colour": 1}))
    assert [*refused.value.errors] == ["cache"]
    assert len(refused.value.errors["cache"]) == 2


def test_a_judge_that_is_no_model_is_refused_like_a_model() -> None:
    with pytest.raises(InvalidAgent) as refused:
        validate(Configuration(parameters={}, limits={}, cache={"judge": "nobody:nothing"}))
    assert [*refused.value.errors] == ["cache"]
    validate(Configuration(parameters={}, limits={}, cache={"judge": "nobody:nothing"}), check_model=False)


def test_an_agent_says_its_policy_in_code_and_in_the_admin() -> None:
    class Shop(AgentDefinition):
        slug = "shop"
        cache = {"mode": "semantic", "shareable": True}

    assert Shop.configuration().as_fields()["cache"] == {"mode": "semantic", "shareable": True}
    agent = create_agent(slug="stall", cache={"ttl": 60})
    assert agent.current_version is not None
    assert agent.current_version.cache == {"ttl": 60}
    version = publish_version(agent=agent, cache={"ttl": 90})
    assert (version.number, version.configuration.cache) == (2, {"ttl": 90})


def test_a_callers_wishes_reach_the_worker(admin: User) -> None:
    agent = create_agent(slug="stall")
    submit(owner=admin, agent=agent, input="hi", cache={"use": "refresh", "max_age": 60})
    claimed = claim(queues=["interactive"], worker="w")
    assert claimed is not None
    assert claimed.cache == {"use": "refresh", "max_age": 60}
    with pytest.raises(InvalidInput):
        submit(owner=admin, agent=agent, input="hi", cache={"use": "perhaps"})


def test_the_api_takes_wishes_and_refuses_what_it_does_not_know(admin: User, api: Api) -> None:
    create_agent(slug="stall")
    client = api(admin)
    good = client.post("/api/v1/tasks", {"agent": "stall", "input": "hi", "cache": {"use": "bypass"}}, format="json")
    assert good.status_code == 202, good.data
    assert Task.objects.get(pk=good.data["id"]).cache == {"use": "bypass"}
    for wrong in ({"use": "perhaps"}, {"colour": 1}, {"least_score": 2}):
        bad = client.post("/api/v1/tasks", {"agent": "stall", "input": "hi", "cache": wrong}, format="json")
        assert bad.status_code == 400


def test_who_asks_again_does_not_get_the_same_answer_again(admin: User) -> None:
    agent = create_agent(slug="stall")
    conversation = start_conversation(owner=admin, agent=agent)
    posted = post_message(conversation=conversation, text="hi", owner=admin, cache={"max_age": 9})
    Task.objects.filter(pk=posted.task.pk).update(status=Status.SUCCEEDED, finished_at=timezone.now(), result="hello")
    again = regenerate(message=posted.message, owner=admin)
    assert Task.objects.get(pk=again.task.pk).cache == {"use": "refresh"}
    Task.objects.filter(pk=again.task.pk).update(status=Status.FAILED, finished_at=timezone.now())
    task = Task.objects.select_related("owner", "api_key", "agent_version__agent").get(pk=again.task.pk)
    from accounts.audit import SYSTEM

    assert retry(task=task, actor=SYSTEM).cache == {"use": "refresh"}


def test_which_tools_have_effects() -> None:
    agent = create_agent(slug="stall")
    assert agent.current_version is not None
    version_id = agent.current_version.pk
    assert not has_effects("calculate", version_id)
    assert has_effects("nobody_knows_it", version_id)


def test_number_of_hot_answers_is_bounded() -> None:
    here = hot.Here()
    ask(Provider([saying("hello")]), request("hi"))
    entry = CacheEntry.objects.get()
    stored = hot.here.get(entry.exact)
    assert stored is not None
    for number in range(hot.MOST_HERE + 100):
        here.put(str(number), stored, 10)
    assert here.get("0") is None
    assert here.get(str(hot.MOST_HERE + 99)) is not None
    for number in range(40):
        here.put(f"large-{number}", stored, 1024 * 1024)
    assert here.get("large-0") is None
    assert hot.Stored.of_json(stored.as_json()) == stored
