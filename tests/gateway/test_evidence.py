"""What the cache made of a call, in sentences."""

from __future__ import annotations

import uuid
from collections.abc import Callable
from decimal import Decimal
from typing import Any

import pytest
from django.contrib.auth.models import Permission
from django.test import Client
from django.urls import reverse
from django.utils import timezone

from accounts.models import User
from agents.cache.semantic.guards import GUARDS as CODE_GUARDS
from agents.definitions.models import Agent
from agents.definitions.services import create_agent
from agents.gateway import evidence
from agents.gateway.models import CacheWhy, ModelCall
from agents.tasks.services import submit
from tests.security.routes import cached_of

# Those of the verifier that are not in its table.
OTHER_GUARDS = {"last_turn", "proposal", "language", "long", "history", "instructions", "tools"}
SECRET = "parcels of somebody else"


def _call(**given: Any) -> ModelCall:
    usual = {"provider": "openai", "model": "m", "started_at": timezone.now(), "latency_ms": 1, "outcome": "succeeded"}
    return ModelCall(**usual | given)


def _hit(**given: Any) -> ModelCall:
    usual = {
        "tier": "semantic", "cache_why": "hit", "cost": Decimal(0), "similarity": 0.981, "age_seconds": 185.0,
        "saved_cost": Decimal("0.000400"), "saved_ms": 812.4, "saved_input_tokens": 10, "saved_output_tokens": 4,
        "cache_evidence": {"score": 0.9532, "threshold": 0.925, "blocked_by": "", "kind": "questions"},
    }  # fmt: skip
    return _call(**usual | given)


def test_a_hit_is_told_with_its_score_and_what_it_saved() -> None:
    told = evidence.told_to_operator(_hit())
    assert told.answered_by == "cache: a request with the same meaning"
    assert told.why == "an answer was there already"
    assert told.lines == (
        "Score 0.953; at least 0.925 was needed.",
        "Similarity 0.981 · answer is 3 min old · saved US$ 0.0004 and 812 ms",
    )
    assert told.cost == "0"


@pytest.mark.parametrize(
    ("given", "said"),
    [
        ({"age_seconds": 4.2}, "answer is 4 s old"),
        ({"age_seconds": 7300.0}, "answer is 2 h old"),
        ({"age_seconds": 90_000.0}, "answer is 1 day old"),
        ({"saved_ms": 12_345.0}, "and 12.3 s"),
        ({"saved_cost": None}, "saved 14 tokens and"),
        ({"saved_cost": Decimal("100.000000")}, "saved US$ 100 and"),
    ],
)
def test_ages_times_and_money_are_short(given: dict[str, Any], said: str) -> None:
    assert said in evidence.told_to_operator(_hit(**given)).lines[-1]


def test_a_guard_is_told_with_what_it_found() -> None:
    found = {"blocked_by": "numbers", "score": 0.0, "threshold": 0.9, "instead": "45 / 54", "only_in_one": "home"}
    told = evidence.told_to_operator(_call(cache_why="blocked", cache_evidence=found))
    assert told.lines == (
        "Refused by the guard “numbers”: the numbers differ.",
        "One in place of the other: 45 / 54.",
        "In one of the two alone: home.",
    )
    assert (told.answered_by, told.cost) == ("provider", "price not known")


def test_every_guard_has_words_and_an_unknown_one_has_its_name() -> None:
    assert evidence.GUARDS.keys() == CODE_GUARDS.keys() | OTHER_GUARDS
    told = evidence.told_to_operator(_call(cache_why="blocked", cache_evidence={"blocked_by": "newer"}))
    assert told.lines == ("Refused by “newer”.",)


def test_what_was_not_kept_is_told() -> None:
    told = evidence.told_to_operator(_call(cache_why="miss", cache_evidence={"not_kept": "truncated"}))
    assert told.lines == ("The answer was not kept: it did not come to its own end.",)


def test_whoever_asked_is_not_told_of_another_question() -> None:
    found = {"score": 0.7, "threshold": 0.9, "blocked_by": "", "only_in_one": SECRET, "detail": f"names: {SECRET}"}
    near = _call(cache_why="near_miss", cache_evidence=found, similarity=0.91)
    assert evidence.told_to_owner(near).lines == ("Similarity 0.910 · score 0.700",)
    assert SECRET in " ".join(evidence.told_to_operator(near).lines)
    assert evidence.told_to_owner(_hit()).lines == (
        "Similarity 0.981 · score 0.953 · answer is 3 min old · saved US$ 0.0004 and 812 ms",
    )


@pytest.mark.parametrize("odd", [None, [], "x", {"score": "high", "threshold": None, "entry": 3}, {"blocked_by": ""}])
@pytest.mark.parametrize("tell", [evidence.told_to_operator, evidence.told_to_owner])
def test_rows_of_other_releases_are_shown_all_the_same(tell: Callable[[ModelCall], Any], odd: Any) -> None:
    call = _call(cache_why="shadow", cache_evidence=odd)
    assert (tell(call).why, tell(call).lines) == ("shadow", ())
    assert evidence.entry_of(call) is None


def test_every_reason_has_words_that_fit() -> None:
    assert all(len(why) <= 40 and str(why.label) != why.value for why in CacheWhy)


@pytest.mark.django_db
def test_the_admin_tells_it_and_leads_to_the_entry(client: Client, admin: User, operator: User) -> None:
    entry = cached_of(operator, Agent.objects.create(slug="helper", name="Helper"))
    hit, gone = _hit(cache_entry_id=entry.pk), _hit(cache_entry_id=uuid.uuid4())
    near = _call(cache_why="near_miss", cache_evidence={"score": 0.7, "threshold": 0.9, "entry": str(entry.pk)})
    ModelCall.objects.bulk_create([hit, gone, near])
    address = reverse("admin:agents_cache_cacheentry_change", args=[entry.pk])
    client.force_login(admin)
    text = _change(client, hit)
    assert "Score 0.953; at least 0.925 was needed." in text
    assert f'href="{address}"' in text
    assert "&quot;kind&quot;: &quot;questions&quot;" in text
    text = _change(client, near)
    assert "Something near was asked, but not near enough." in text
    assert f'href="{address}"' in text
    assert reverse("admin:agents_cache_cacheentry_change", args=[gone.cache_entry_id]) not in _change(client, gone)
    client.force_login(_who_sees_calls_alone())
    text = _change(client, hit)
    assert "Score 0.953" in text
    assert address not in text


@pytest.mark.django_db
def test_calls_are_filtered_by_why(client: Client, admin: User) -> None:
    ModelCall.objects.bulk_create([_call(model="near", cache_why="near_miss"), _call(model="other", cache_why="miss")])
    client.force_login(admin)
    text = client.get(reverse("admin:agents_gateway_modelcall_changelist"), {"cache_why__exact": "near_miss"})
    assert "openai:near" in text.content.decode()
    assert "openai:other" not in text.content.decode()


@pytest.mark.django_db
def test_the_task_in_the_admin_tells_it_too(client: Client, admin: User, member: User) -> None:
    task = submit(owner=member, agent=create_agent(slug="echo", model="scripted:echo"), input="x").task
    _hit(task_id=task.pk).save()
    _call(task_id=task.pk, cache_why="miss").save()
    client.force_login(admin)
    text = client.get(reverse("admin:agents_tasks_task_change", args=[task.pk])).content.decode()
    assert "Score 0.953; at least 0.925 was needed." in text
    assert "Nothing like it was asked before." in text
    assert "price not known" in text


def _change(client: Client, call: ModelCall) -> str:
    response = client.get(reverse("admin:agents_gateway_modelcall_change", args=[call.pk]))
    assert response.status_code == 200
    return response.content.decode()


def _who_sees_calls_alone() -> User:
    user = User.objects.create_user("clerk", password="clerk-password-1", is_staff=True)
    user.user_permissions.add(Permission.objects.get(codename="view_modelcall"))
    return user
