"""Lists of millions of rows are searched by what has an index, and offer nothing that would read them whole."""

from __future__ import annotations

import uuid
from typing import Any

import pytest
from django.contrib import admin as site
from django.db import connection
from django.db.models import Model, QuerySet
from django.test import Client, RequestFactory
from django.test.utils import CaptureQueriesContext
from django.urls import reverse
from django.utils import timezone

from accounts.models import User
from agents.cache.models import CacheEntry
from agents.circuits.models import CircuitChange
from agents.definitions.models import Agent
from agents.definitions.services import create_agent
from agents.gateway.models import ModelCall
from agents.gateway.providers import known_providers
from agents.tasks import services as tasks
from foundation.admin import BaseAdmin
from tests.security.routes import cached_of

pytestmark = pytest.mark.django_db
CALLS = "admin:agents_gateway_modelcall_changelist"
ENTRIES = "admin:agents_cache_cacheentry_changelist"
ENTRY = "0198a000-0000-7000-8000-00000000000e"


@pytest.fixture
def agent() -> Agent:
    return create_agent(slug="helper", model="scripted:echo")


@pytest.fixture
def browser(client: Client, admin: User) -> Client:
    client.force_login(admin)
    return client


def _call(model: str, **fields: Any) -> ModelCall:
    return ModelCall.objects.create(
        **{"provider": "openai", "started_at": timezone.now(), "latency_ms": 1, "outcome": "succeeded"} | fields,
        model=model,
    )


def _found(model: type[Model], text: str) -> QuerySet[Any]:
    """What the search of the list finds, in no order."""
    request = RequestFactory().get("/")
    rows, may_repeat = site.site._registry[model].get_search_results(request, model._default_manager.order_by(), text)
    assert not may_repeat
    return rows


def test_a_call_is_found_by_each_of_its_names(browser: Client, member: User, agent: Agent) -> None:
    task = tasks.submit(owner=member, agent=agent, input="Hello").task
    wanted = _call("wanted", task_id=task.pk, agent_id=agent.pk, owner_id=member.pk, cache_entry_id=uuid.UUID(ENTRY))
    _call("other", task_id=uuid.uuid4(), agent_id=uuid.uuid4(), owner_id=uuid.uuid4())
    assert task.trace_id
    names = (wanted.pk, task.pk, agent.pk, member.pk, ENTRY, task.trace_id, "helper", "member", f" {task.pk} ")
    for name in names:
        text = browser.get(reverse(CALLS), {"q": str(name)}).content.decode()
        assert "openai:wanted" in text, name
        assert "openai:other" not in text, name
    for nothing in ("wante", "help", uuid.uuid4(), "x" * 5000, "100%"):
        assert "openai:" not in browser.get(reverse(CALLS), {"q": str(nothing)}).content.decode(), nothing


def test_an_answer_is_found_by_each_of_its_names(browser: Client, member: User, agent: Agent) -> None:
    other = cached_of(User.objects.create(username="other"), create_agent(slug="other", model="scripted:echo"))
    CacheEntry.objects.filter(pk=other.pk).update(question="other?", scope="s2", exact="e2")
    wanted = cached_of(member, agent)
    CacheEntry.objects.filter(pk=wanted.pk).update(question="wanted?", task_id=uuid.UUID(ENTRY))
    for name in (wanted.pk, agent.pk, member.pk, ENTRY, "scope", "exact", "helper", "member"):
        text = browser.get(reverse(ENTRIES), {"q": str(name)}).content.decode()
        assert "wanted?" in text, name
        assert "other?" not in text, name


@pytest.mark.parametrize(
    ("model", "texts"),
    [
        (ModelCall, (str(uuid.uuid4()), "a" * 32, "helper", "member")),
        (CacheEntry, (str(uuid.uuid4()), "a" * 64, "helper", "member")),
        (CircuitChange, ("model:openai:gpt-4o",)),
    ],
)  # fmt: skip
def test_every_search_is_served_by_indexes(member: User, agent: Agent, model: type[Model], texts: tuple[str]) -> None:
    with connection.cursor() as cursor:
        if connection.vendor == "postgresql":
            # A planner that is asked of empty tables would read them all the same.
            cursor.execute("SET LOCAL enable_seqscan = off")
    for text in texts:
        plan = _found(model, text).explain().casefold()
        assert "index" in plan, (text, plan)
        assert "scan " + model._meta.db_table not in plan, (text, plan)
        assert "seq scan on " + model._meta.db_table not in plan, (text, plan)
    # The control: what Django makes of `=field`.
    column = {"modelcall": "task_id", "cacheentry": "exact", "circuitchange": "key"}[str(model._meta.model_name)]
    plan = model._default_manager.order_by().filter(**{f"{column}__iexact": texts[0]}).explain().casefold()
    assert "scan " + model._meta.db_table in plan or "seq scan on " + model._meta.db_table in plan, plan


def test_the_providers_to_choose_from_are_known_and_not_asked_of_the_ledger(browser: Client) -> None:
    _call("wanted", provider="openai")
    _call("other", provider="groq")
    with CaptureQueriesContext(
        connection,
    ) as asked:
        text = browser.get(reverse(CALLS)).content.decode()
    assert [each["sql"] for each in asked if "DISTINCT" in each["sql"]] == []
    assert [name for name in known_providers() if f"?provider={name}" not in text] == []
    chosen = browser.get(reverse(CALLS), {"provider": "openai"}).content.decode()
    assert "openai:wanted" in chosen
    assert "groq:other" not in chosen


def test_no_list_offers_all_rows_of_all_pages(browser: Client, member: User, agent: Agent) -> None:
    lists = [each for each in site.site._registry.values() if isinstance(each, BaseAdmin)]
    assert len(lists) >= 20
    assert [each for each in lists if not each.list_disable_select_all] == []
    cached_of(member, agent)
    text = browser.get(reverse(ENTRIES)).content.decode()
    assert 'name="_selected_action"' in text
    assert "Select all 9" not in text


@pytest.mark.parametrize("answer", [{}, {"confirmed": "yes"}])
@pytest.mark.parametrize("index", [{}, {"index": "0"}])
def test_an_action_on_all_pages_is_refused_with_a_sentence(
    browser: Client, member: User, agent: Agent, answer: dict[str, str], index: dict[str, str]
) -> None:
    entry = cached_of(member, agent)
    wanted = {"action": "evict_entries", "_selected_action": [str(entry.pk)], **index, **answer}
    refused = browser.post(reverse(ENTRIES), wanted | {"select_across": "1"}, follow=True)
    assert "Choose the rows themselves" in refused.content.decode()
    assert CacheEntry.objects.filter(evicted_at=None).count() == 1
    # The control: the same of rows that were chosen.
    browser.post(reverse(ENTRIES), wanted | {"select_across": "0", "confirmed": "yes"})
    assert CacheEntry.objects.filter(evicted_at=None).count() == 0
