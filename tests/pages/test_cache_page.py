"""The page of the answer cache."""

from __future__ import annotations

import uuid
from datetime import timedelta
from decimal import Decimal
from typing import Any

import pytest
from django.contrib.auth.models import Permission
from django.db import connection
from django.test import Client
from django.test.utils import CaptureQueriesContext
from django.urls import reverse
from django.utils import timezone

from accounts.models import User
from agents.cache.meaning import meaning
from agents.cache.models import Calibration
from agents.definitions.models import Agent
from agents.gateway.models import ModelCall
from tests.pages.conftest import Made
from tests.security.routes import cached_of

pytestmark = pytest.mark.django_db
PAGE = "/cache/"
EVIDENCE = {"score": 0.712, "threshold": 0.941, "blocked_by": "", "only_in_one": "brazil"}


def _call(why: str, tier: str = "", **given: Any) -> ModelCall:
    usual: dict[str, Any] = {
        "provider": "p", "model": "m", "started_at": timezone.now(), "latency_ms": 1, "outcome": "succeeded",
    }  # fmt: skip
    if tier:
        usual |= {"cost": 0, "saved_cost": Decimal("0.1250"), "saved_ms": 2_500_000.0, "saved_input_tokens": 1_234}
    return ModelCall(cache_why=why, tier=tier, **usual | given)


def _text(client: Client, user: User, path: str = PAGE) -> str:
    client.force_login(user)
    response = client.get(path)
    assert response.status_code == 200
    return response.content.decode()


def test_it_is_for_whoever_may_see_cached_answers(client: Client, member: User, operator: User) -> None:
    assert client.get(PAGE).status_code == 302
    client.force_login(member)
    assert client.get(PAGE).status_code == 403
    assert f'href="{PAGE}"' not in client.get("/").content.decode()
    assert f'href="{PAGE}"' in _text(client, operator, "/")
    assert 'aria-current="page"' in _text(client, operator)
    assert client.post(PAGE).status_code == 405


def test_it_says_how_to_begin(client: Client, operator: User) -> None:
    text = _text(client, operator)
    assert "No calls yet" in text
    assert "Nothing was compared by meaning" in text
    assert "cache: {&quot;mode&quot;: &quot;semantic&quot;}" in text or 'cache: {"mode": "semantic"}' in text
    assert "docs/answer-cache.md" in text
    assert "Nothing yet: the verifier" in text


def test_it_tells_what_was_saved_and_why_not(client: Client, operator: User, agent: Agent) -> None:
    ModelCall.objects.bulk_create([
        *(_call("hit", "exact", agent_id=agent.pk) for _ in range(3)), _call("miss", agent_id=agent.pk),
        *(_call("uncacheable:temperature", agent_id=agent.pk) for _ in range(5)), _call("an older word"),
        _call("hit", "exact", started_at=timezone.now() - timedelta(days=40)),
    ])  # fmt: skip
    text = _text(client, operator)
    assert "75.0 %" in text
    assert "0.375" in text
    assert "7,500" in text
    assert "3,702" in text
    assert "The hit rate counts the 4 calls" in text
    assert "Its temperature is too high for answers to be kept" in text
    assert "not in the hit rate" in text
    assert "an older word" in text.lower()
    assert "Echo" in text
    assert "no agent" in text
    assert "3 from the cache" in text
    assert " style=" not in text
    assert "4 answered" in _text(client, operator, f"{PAGE}?days=92")
    assert '<option value="30" selected>' in _text(client, operator, f"{PAGE}?days=x")


def test_what_was_compared_leads_to_the_task_and_the_entry(
    client: Client, operator: User, member: User, agent: Agent, made: Made
) -> None:
    task, entry = made(member), cached_of(member, agent)
    ModelCall.objects.bulk_create([
        _call("near_miss", agent_id=agent.pk, task_id=task.pk, similarity=0.93,
              cache_evidence=EVIDENCE | {"entry": str(entry.pk)}),
        _call("hit", "semantic", agent_id=agent.pk, task_id=task.pk, cache_entry_id=uuid.uuid4(), similarity=0.98,
              cache_evidence=EVIDENCE | {"score": 0.972}),
    ])  # fmt: skip
    text = _text(client, operator)
    assert "Something near was asked, but not near enough" in text
    assert "Score 0.712; at least 0.941 was needed." in text
    assert "Score 0.972; at least 0.941 was needed." in text
    assert text.count(f'href="/tasks/{task.pk}/"') == 2
    address = reverse("admin:agents_cache_cacheentry_change", args=["0"]).replace("/0/", "/{}/")
    assert address.format(entry.pk) in text
    # Whoever sees answers alone: neither other people's tasks nor the admin.
    clerk = User.objects.create_user("clerk", password="clerk-password-1")
    clerk.user_permissions.add(Permission.objects.get(codename="view_cacheentry"))
    text = _text(client, clerk)
    assert "Score 0.712; at least 0.941 was needed." in text
    assert f"/tasks/{task.pk}/" not in text
    assert "/admin/" not in text


def test_what_was_learned_is_shown_with_its_bound(client: Client, operator: User, agent: Agent) -> None:
    usual = {"verifier": meaning().verifier(), "error_target": 0.01, "threshold": 0.9415}
    on = Calibration.objects.create(agent_id=agent.pk, trials=412, errors=1, bound=0.0072, **usual)
    Calibration.objects.create(agent_id=uuid.uuid4(), is_off=True, trials=10, errors=5, **usual)
    text = _text(client, operator)
    assert "0.72 % / 1 %" in text
    assert "0.942" in text
    assert "5 of 10 answers that were asked again were wrong; more than 1.0% may be." in text
    assert reverse("admin:agents_cache_calibration_change", args=[on.pk]) in text


def test_it_takes_as_many_queries_for_many_agents_as_for_one(client: Client, operator: User, member: User) -> None:
    def fill(count: int) -> None:
        for _ in range(count):
            agent = Agent.objects.create(slug=uuid.uuid4().hex[:8], name="A")
            entry = str(uuid.uuid4())
            ModelCall.objects.bulk_create([
                _call("hit", "semantic", agent_id=agent.pk, task_id=uuid.uuid4(), cache_entry_id=uuid.uuid4()),
                _call("near_miss", agent_id=agent.pk, cache_evidence=EVIDENCE | {"entry": entry}), _call("miss"),
            ])  # fmt: skip
            Calibration.objects.create(
                agent_id=agent.pk, verifier=meaning().verifier(), error_target=0.01, threshold=0.9
            )

    def asked() -> int:
        with CaptureQueriesContext(connection) as queries:
            assert client.get(PAGE).status_code == 200
        return len(queries)

    client.force_login(operator)
    fill(1)
    client.get(PAGE)
    few = asked()
    fill(30)
    assert asked() == few
    assert few < 24
