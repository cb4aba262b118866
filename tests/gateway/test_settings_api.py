"""How models are set up over HTTP, trying deployments, and the ledger's lists."""

from __future__ import annotations

import uuid
from decimal import Decimal
from typing import Any

import pytest
from django.utils import timezone
from rest_framework.test import APIClient

from accounts.models import AuditEvent, User
from agents.definitions.models import Agent
from agents.definitions.services import create_agent
from agents.gateway.models import Credential, Deployment, ModelCall, Price, Route
from agents.tasks.services import submit
from tests.conftest import Api
from tests.gateway.settings_made import ADDRESS, SECRET, a_credential, a_deployment, a_route

pytestmark = pytest.mark.django_db
MODELS = "/api/v1/models"


@pytest.fixture
def client(api: Api, admin: User) -> APIClient:
    return api(admin)


def test_everything_can_be_set_up_and_the_secret_never_comes_back(client: APIClient) -> None:
    credential = {"name": "main", "provider": "openai", "base_url": ADDRESS, "secret": SECRET}
    made = client.post(f"{MODELS}/credentials", credential)
    assert (made.status_code, made.json()["is_set"], made.json()["hint"]) == (201, True, SECRET[-4:])
    deployment = {"name": "gpt", "provider": "openai", "model": "gpt-4o", "credential": "main", "most_requests": 60}
    assert client.post(f"{MODELS}/deployments", deployment).status_code == 201
    first = client.post(f"{MODELS}/routes", {"name": "long", "steps": [{"deployment": "gpt"}]})
    assert first.status_code == 201
    route = {
        "name": "fast",
        "strategy": "weighted",
        "longer_route": "long",
        "steps": [{"deployment": "gpt", "weight": 3}],
    }
    shown = client.post(f"{MODELS}/routes", route)
    assert shown.json()["steps"] == [{"deployment": "gpt", "weight": 3}]
    assert shown.json()["longer_route"] == "long"
    price = {"provider": "openai", "model": "gpt-4o", "input_price": "2.5", "output_price": "10"}
    assert client.post(f"{MODELS}/prices", price).status_code == 201
    said = [
        shown,
        made,
        *(client.get(f"{MODELS}/{kind}") for kind in ("credentials", "deployments", "routes", "prices")),
    ]
    said += [client.get(made["Location"]), client.get(shown["Location"])]
    assert [answer.status_code for answer in said] == [201, 201, 200, 200, 200, 200, 200, 200]
    assert not any(SECRET in answer.content.decode() for answer in said)
    assert (Credential.objects.get().secret, Price.objects.get().input_price) == (SECRET, Decimal("2.5"))


def test_another_address_clears_the_secret_unless_one_comes_with_it(client: APIClient) -> None:
    address = f"{MODELS}/credentials/{a_credential().pk}"
    assert client.patch(address, {"base_url": "https://8.8.4.4/v1"}).json()["is_set"] is False
    assert client.patch(address, {"base_url": ADDRESS, "secret": f"{SECRET}-2"}).json()["is_set"] is True
    assert Credential.objects.get().secret == f"{SECRET}-2"


def test_what_its_rate_limits_count_can_be_said(client: APIClient) -> None:
    given = {"name": "main", "provider": "openai", "secret": SECRET, "rate_limits": "together"}
    made = client.post(f"{MODELS}/credentials", given)
    assert (made.status_code, made.json()["rate_limits"]) == (201, "together")
    changed = client.patch(made.headers["Location"], {"rate_limits": "each_model"}).json()
    assert (changed["rate_limits"], changed["is_set"]) == ("each_model", True)
    assert client.patch(made.headers["Location"], {"rate_limits": "some"}).status_code == 400


@pytest.mark.django_db(transaction=True)
def test_a_refused_secret_leaves_the_one_that_is_there(client: APIClient) -> None:
    address = f"{MODELS}/credentials/{a_credential().pk}"
    refused = client.patch(address, {"base_url": "https://8.8.4.4/v1", "secret": "has a space"})
    assert (refused.status_code, [*refused.json()["errors"]]) == (400, ["secret"])
    row = Credential.objects.get()
    assert (row.base_url, row.secret) == (ADDRESS, SECRET)


def test_what_is_wrong_is_said_by_field(client: APIClient) -> None:
    given = {"name": "gpt", "provider": "openai", "model": "gpt-4o", "parameters": {"temprature": 1}}
    answer = client.post(f"{MODELS}/deployments", given)
    assert answer.status_code == 400
    assert "temprature" in str(answer.json()["errors"])
    assert client.post(f"{MODELS}/routes", {"name": "fast", "steps": [{"deployment": "none"}]}).status_code == 400
    assert client.post(f"{MODELS}/credentials", {"name": "a", "provider": "openai", "sceret": "x"}).status_code == 400


def test_what_is_in_use_is_not_deleted(client: APIClient) -> None:
    row = a_deployment()
    route = a_route(row)
    refused = client.delete(f"{MODELS}/deployments/{row.pk}")
    assert (refused.status_code, refused.json()["type"].rsplit(":", 1)[-1]) == (409, "in-use")
    assert client.delete(f"{MODELS}/routes/{route.pk}").status_code == 204
    assert client.delete(f"{MODELS}/deployments/{row.pk}").status_code == 204
    assert (Route.objects.count(), Deployment.objects.count()) == (0, 0)


@pytest.mark.django_db(transaction=True)
class TestTrying:
    def test_an_answer_is_counted_and_recorded(self, client: APIClient, admin: User) -> None:
        answer = client.post(f"{MODELS}/deployments/{a_deployment().pk}/try")
        assert answer.status_code == 200
        assert (answer.json()["is_ok"], answer.json()["text"], answer.json()["cost"]) == (True, "Say OK.", "0.000000")
        row = ModelCall.objects.get()
        assert (row.owner_id, row.tries[0]["deployment"], row.outcome) == (admin.pk, "echo", "succeeded")
        assert AuditEvent.objects.get(verb="deployment.try").changes == {"outcome": "succeeded"}

    def test_an_error_is_a_result_in_plain_words(self, client: APIClient) -> None:
        row = a_deployment(model="fail", parameters={"error": "unauthorized"})
        said = client.post(f"{MODELS}/deployments/{row.pk}/try").json()
        assert (said["is_ok"], said["error_type"]) == (False, "ModelUnauthorized")
        assert said["error"] == "The provider refused the credentials."
        assert ModelCall.objects.get().outcome == "failed"

    def test_one_that_does_not_answer_is_given_up(self, client: APIClient, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setattr("agents.gateway.trying.WITHIN_SECONDS", 0.05)
        row = a_deployment(model="slow", parameters={"pieces": 1, "delay": 0.5})
        said = client.post(f"{MODELS}/deployments/{row.pk}/try").json()
        assert (said["is_ok"], said["error_type"]) == (False, "ModelTimeout")


@pytest.fixture
def agent() -> Agent:
    return create_agent(slug="helper", model="scripted:echo")


def _call(owner: User, agent: Agent, **fields: Any) -> ModelCall:
    usual: dict[str, Any] = {
        "provider": "openai", "model": "m", "started_at": timezone.now(), "latency_ms": 1, "outcome": "succeeded",
        "cost": Decimal("0.5"),
    }  # fmt: skip
    return ModelCall.objects.create(owner_id=owner.pk, agent_id=agent.pk, **(usual | fields))


def _ids(answer: Any) -> set[uuid.UUID]:
    return {uuid.UUID(each["id"]) for each in answer.json()["results"]}


class TestCalls:
    def test_one_sees_ones_own_and_an_operator_all(
        self, api: Api, member: User, operator: User, outsider: User, agent: Agent
    ) -> None:
        mine, other = _call(member, agent), _call(outsider, agent)
        assert _ids(api(member).get("/api/v1/model-calls")) == {mine.pk}
        assert _ids(api(operator).get("/api/v1/model-calls")) == {mine.pk, other.pk}

    def test_they_are_narrowed_by_agent_tier_outcome_and_price(
        self, client: APIClient, admin: User, agent: Agent
    ) -> None:
        plain = _call(admin, agent)
        hit = _call(admin, agent, tier="exact", cost=0)
        failed = _call(admin, agent, outcome="failed")
        unknown = _call(admin, agent, cost=None)
        everything = {plain.pk, hit.pk, failed.pk, unknown.pk}
        for query, wanted in (
            ("agent=helper", everything), ("agent=nobody", set()), ("tier=exact", {hit.pk}),
            ("tier=none", everything - {hit.pk}), ("outcome=failed", {failed.pk}), ("unpriced=true", {unknown.pk}),
        ):  # fmt: skip
            assert _ids(client.get(f"/api/v1/model-calls?{query}")) == wanted, query

    def test_a_tasks_calls_are_for_whoever_sees_the_task(
        self, api: Api, member: User, outsider: User, agent: Agent
    ) -> None:
        task = submit(owner=member, agent=agent, input="hello").task
        tried = {"deployment": "a", "provider": "openai", "model": "m", "outcome": "failed", "ms": 3.0}
        row = _call(member, agent, task_id=task.pk, tries=[{**tried, "error": "ModelTimeout"}])
        _call(member, agent)
        answer = api(member).get(f"/api/v1/tasks/{task.pk}/calls")
        assert _ids(answer) == {row.pk}
        assert answer.json()["results"][0]["tries"][0]["error"] == "ModelTimeout"
        assert api(outsider).get(f"/api/v1/tasks/{task.pk}/calls").status_code == 404

    def test_nobody_is_shown_the_words_of_anothers_question(
        self, api: Api, member: User, operator: User, agent: Agent
    ) -> None:
        found = {"score": 0.7, "threshold": 0.9, "blocked_by": "names", "only_in_one": "Oliveira", "entry": "an id"}
        _call(member, agent, cache_why="blocked", cache_evidence=found)
        shown = [api(who).get("/api/v1/model-calls").json()["results"][0] for who in (member, operator)]
        assert shown[0]["cache_evidence"] == {"score": 0.7, "threshold": 0.9, "blocked_by": "names"}
        assert shown[1]["cache_evidence"] == found
        assert [each["cache_why"] for each in shown] == ["blocked", "blocked"]
