"""Whatever happens to a task's model calls, their rows are what it has spent, wherever that is said."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import timedelta
from decimal import Decimal
from functools import reduce
from operator import add
from typing import Any, TypedDict

import pytest
from django.test import Client
from django.urls import reverse
from django.utils import timezone
from langchain_core.messages import AIMessageChunk
from langchain_core.outputs import ChatGenerationChunk
from langgraph.graph import END, START, StateGraph
from prometheus_client import REGISTRY

from accounts.audit import SYSTEM
from accounts.models import User
from agents.circuits import protection
from agents.definitions import AgentDefinition
from agents.definitions.models import Agent
from agents.gateway import answers, routing
from agents.gateway.answers import CallNotes, ModelRequest, Pieces
from agents.gateway.exceptions import ModelUnavailable
from agents.gateway.models import ModelCall
from agents.runtime.control import RunControl
from agents.runtime.execution import RunResult, execute
from agents.runtime.failures import failure_of
from agents.runtime.run_model import RunModel
from agents.tasks import services as tasks
from agents.tasks.models import Attempt, Status, Task
from agents.tasks.sweeping import sweep
from agents.testing.inline import _known
from tests.conftest import Api
from tests.gateway.settings_made import a_credential, a_deployment, a_price, a_route
from tests.gateway.upstream import Answer, upstream
from tests.tasks.conftest import let_lease_expire

pytestmark = pytest.mark.django_db(transaction=True)

ASKED_BEFORE = "asked before"
SAVED = Decimal("0.25")
_failures = [0]


class State(TypedDict):
    said: list[str]


def ask(state: State) -> State:
    """Two questions to providers, one that was asked before; the first attempt then fails."""
    model = RunModel("route:fast")
    # Added together, pieces are what came after the last restart.
    said = [str(reduce(add, model.stream(text)).text) for text in ("one", ASKED_BEFORE, "two")]
    if _failures[0]:
        _failures[0] -= 1
        raise ModelUnavailable
    return {"said": [*state["said"], *said]}


class Asker(AgentDefinition):
    """Asks its model three times."""

    slug = "asker"

    def graph(self, context: Any) -> StateGraph[State]:
        return StateGraph(State).add_node("ask", ask).add_edge(START, "ask").add_edge("ask", END)


class Remembering:
    """Knows one answer."""

    def through(self, request: ModelRequest, ask: Pieces, notes: CallNotes) -> Iterator[Any]:
        if request.messages[-1].text != ASKED_BEFORE:
            notes.provenance.why = "miss"
            yield from ask()
            return
        found = notes.provenance
        found.tier, found.why, found.saved_cost, found.saved_input_tokens = "exact", "hit", SAVED, 7
        yield ChatGenerationChunk(message=AIMessageChunk(content="as before"))


@pytest.fixture(autouse=True)
def _afresh(settings: Any) -> Iterator[None]:
    settings.EGRESS_ALLOWED_HOSTS, settings.EGRESS_ALLOW_HTTP = ["127.0.0.1"], True
    settings.MODEL_CALL_TRIES = 1
    known = answers._answers
    answers.register_answers(Remembering())
    routing.forget()
    protection.forget()
    yield
    answers.register_answers(known)
    routing.forget()


def _sample(name: str, **labels: str) -> float:
    return REGISTRY.get_sample_value(name, labels) or 0.0


def _counted() -> dict[str, float]:
    models = ("first", "second")
    return {
        "cost": sum(_sample("mutirao_model_cost_total", provider="openai", model=model) for model in models),
        **{
            way: sum(
                _sample("mutirao_model_tokens_total", provider="openai", model=model, direction=way) for model in models
            )
            for way in ("input", "output")
        },
        "hits": _sample("mutirao_model_cache_hits_total", tier="exact"),
        "saved": _sample("mutirao_model_saved_cost_total", tier="exact"),
        "tries": sum(
            _sample("mutirao_model_tries_total", deployment="first", outcome=way) for way in ("broken", "failed")
        ),
    }


def _run(member: User) -> Task:
    """One task whose first attempt fails."""
    agent = Agent.objects.select_related("current_version").get(slug="asker")
    task = tasks.submit(owner=member, agent=agent, input={"said": []}, queue="adding-up", max_attempts=2).task
    for _ in range(2):
        Task.objects.filter(pk=task.pk).update(not_before=None)
        claim = tasks.claim(queues=["adding-up"], worker="test")
        assert claim is not None
        control = RunControl()
        try:
            done = execute(claim, control)
        except ModelUnavailable as error:
            tasks.fail(claim=claim, failure=failure_of(error), usage=control.usage)
        else:
            assert isinstance(done, RunResult)
            tasks.succeed(claim=claim, result=done.result, usage=done.usage, events=done.events)
    task.refresh_from_db()
    return task


@pytest.mark.parametrize("end", ["crashed", "overdue", "cancelled"])
def test_what_an_attempt_has_spent_whose_worker_is_gone_is_its_tasks(end: str, member: User) -> None:
    _failures[0] = 1
    with upstream(Answer()) as good, _known(Asker):
        a_price(model="first", read="1000", written="3000.123457")
        credential = a_credential("first", base_url=good.url)
        a_route(a_deployment("first", provider="openai", model="first", credential=credential))
        Agent.objects.filter(slug="asker").update(is_enabled=True)
        agent = Agent.objects.get(slug="asker")
        task = tasks.submit(owner=member, agent=agent, input={"said": []}, queue="adding-up").task
        claim = tasks.claim(queues=["adding-up"], worker="test")
        assert claim is not None
        # It dies without a word of its own.
        with pytest.raises(ModelUnavailable):
            execute(claim, RunControl())
    if end == "cancelled":
        tasks.cancel(task=task, actor=SYSTEM)
    let_lease_expire(task.pk)
    if end == "overdue":
        Task.objects.filter(pk=task.pk).update(run_deadline_at=timezone.now() - timedelta(hours=1))
    swept = sweep()
    assert getattr(swept, end) == 1
    rows = [*ModelCall.objects.filter(task_id=task.pk, tier="")]
    assert len(rows) == 2
    sums = tuple(sum(getattr(row, name) for row in rows) for name in ("input_tokens", "output_tokens", "cost"))
    assert sums[2] > 0
    for row in (Task.objects.get(pk=task.pk), Attempt.objects.get(task=task)):
        assert (row.input_tokens, row.output_tokens, row.cost) == sums


def test_rows_task_api_admin_and_metrics_say_the_same(api: Api, client: Client, admin: User, member: User) -> None:
    _failures[0] = 1
    before = _counted()
    with (
        upstream(Answer(pieces=("half an", " answer"), breaks=True)) as broken,
        upstream(Answer()) as good,
        _known(Asker),
    ):
        a_price(model="first", read="1000", written="3000.123457")
        a_price(model="second", read="0.333333", written="7.777777")
        a_route(*(
            a_deployment(name, provider="openai", model=name, credential=a_credential(name, base_url=server.url))
            for name, server in (("first", broken), ("second", good))
        ))  # fmt: skip
        Agent.objects.filter(slug="asker").update(is_enabled=True)
        task = _run(member)
        asked = (len(broken.requests), len(good.requests))

    assert task.status == Status.SUCCEEDED
    assert task.result is not None
    assert task.result["said"] == ["Good day", "as before", "Good day"]
    rows = [*ModelCall.objects.filter(task_id=task.pk).order_by("started_at")]
    hits, paid = [row for row in rows if row.tier], [row for row in rows if not row.tier]
    assert (len(rows), len(hits), {row.fence for row in rows}) == (6, 2, {1, 2})
    # Of each call that reached a provider the broken deployment was tried first, unless it is left alone by now.
    assert asked == (sum(len(row.tries) - 1 for row in paid), 4)
    assert asked[0] >= 1
    assert [(row.cost, row.input_tokens, row.output_tokens, row.saved_cost) for row in hits] == [(0, 0, 0, SAVED)] * 2
    assert all(row.cost for row in paid)

    sums = {
        "cost": sum((row.cost or Decimal(0) for row in rows), Decimal(0)),
        "input": sum(row.input_tokens for row in rows),
        "output": sum(row.output_tokens for row in rows),
    }
    assert (task.cost, task.input_tokens, task.output_tokens) == (sums["cost"], sums["input"], sums["output"])

    by_model = api(member).get("/api/v1/usage?by=model").json()
    assert sum(Decimal(row["cost"]) for row in by_model["results"]) == sums["cost"]
    assert sum(row["input_tokens"] for row in by_model["results"]) == sums["input"]
    assert (by_model["cache"]["hits"], Decimal(by_model["cache"]["saved_cost"])) == (2, 2 * SAVED)
    by_agent = api(member).get("/api/v1/usage?by=agent").json()["results"]
    assert [(row["key"], Decimal(row["cost"])) for row in by_agent] == [("asker", sums["cost"])]
    listed = api(member).get(f"/api/v1/tasks/{task.pk}/calls").json()["results"]
    assert sum(Decimal(row["cost"]) for row in listed) == sums["cost"]
    assert Decimal(str(api(member).get(f"/api/v1/tasks/{task.pk}").json()["usage"]["cost"])) == sums["cost"]

    counted = {name: value - before[name] for name, value in _counted().items()}
    assert counted["cost"] == pytest.approx(float(sums["cost"]), abs=1e-9)
    assert (counted["input"], counted["output"]) == (sums["input"], sums["output"])
    assert (counted["hits"], counted["saved"], counted["tries"]) == (2, float(2 * SAVED), asked[0])

    client.force_login(admin)
    page = client.get(reverse("admin:agents_tasks_task_change", args=[task.pk])).content.decode()
    assert f"{task.cost.normalize()}" in page
    assert all(f"{row.cost.normalize()}" in page for row in paid if row.cost)
