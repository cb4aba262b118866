"""Setting up credentials, deployments and routes: what is refused, what is kept, and what the record says."""

from __future__ import annotations

import json
from typing import Any

import pytest
from django.db import models
from django.db.models.functions import Cast

from accounts.audit import SYSTEM
from accounts.models import AuditEvent
from agents.definitions.exceptions import InvalidAgent
from agents.definitions.services import create_agent
from agents.gateway import routing, services
from agents.gateway.models import Credential, Deployment, Route
from agents.gateway.refusals import InUse, InvalidSetting
from agents.gateway.services import Step
from tests.gateway.settings_made import ADDRESS, SECRET, a_credential, a_deployment, a_route

pytestmark = pytest.mark.django_db


def _stored(row: Credential) -> str:
    sealed = Credential.objects.annotate(sealed=Cast("secret", models.TextField()))
    return str(sealed.values_list("sealed", flat=True).get(pk=row.pk))


def _errors(act: Any, **given: Any) -> dict[str, list[str]]:
    with pytest.raises(InvalidSetting) as raised:
        act(actor=SYSTEM, **given)
    return raised.value.errors


class TestCredentials:
    def test_a_secret_is_sealed_and_in_no_record(self) -> None:
        row = a_credential()
        assert SECRET not in _stored(row)
        assert Credential.objects.get().secret == SECRET
        assert (row.hint, row.changed_at is not None) == (SECRET[-4:], True)
        assert SECRET not in json.dumps([*AuditEvent.objects.values()], default=str)
        assert AuditEvent.objects.filter(verb="credential.create").count() == 1

    def test_another_address_clears_the_secret(self) -> None:
        row = services.change_credential(
            credential=a_credential(), actor=SYSTEM, changes={"base_url": "https://8.8.4.4/v1"}
        )
        stored = Credential.objects.get()
        assert (stored.secret, stored.hint, stored.changed_at) == ("", "", None)
        assert stored.base_url == row.base_url == "https://8.8.4.4/v1"

    def test_the_same_address_leaves_it(self) -> None:
        services.change_credential(credential=a_credential(), actor=SYSTEM, changes={"base_url": ADDRESS})
        assert Credential.objects.get().secret == SECRET
        assert not AuditEvent.objects.filter(verb="credential.change").exists()

    def test_so_does_what_its_rate_limits_count(self) -> None:
        services.change_credential(
            credential=a_credential(), actor=SYSTEM, changes={"base_url": ADDRESS, "rate_limits": "each_model"}
        )
        stored = Credential.objects.get()
        assert (stored.secret, stored.rate_limits) == (SECRET, "each_model")
        event = AuditEvent.objects.get(verb="credential.change")
        assert event.changes == {"rate_limits": {"before": "usual", "after": "each_model"}}
        assert "rate_limits" in _errors(
            services.change_credential, credential=stored, changes={"rate_limits": "some_models"}
        )

    @pytest.mark.parametrize(
        ("columns", "expected"),
        [
            ({"provider": "openai"}, True),
            ({"provider": "anthropic"}, True),
            ({"provider": "openrouter"}, False),
            ({"provider": "openai", "base_url": "https://gateway.example/v1"}, False),
            ({"provider": "openai", "base_url": "https://gateway.example/v1", "rate_limits": "each_model"}, True),
            ({"provider": "openai", "rate_limits": "together"}, False),
        ],
    )
    def test_what_a_429_is_about_is_known_of_providers_and_can_be_said(
        self, columns: dict[str, str], *, expected: bool
    ) -> None:
        credential = Credential.objects.create(name="main", **columns)
        row = Deployment.objects.create(name="m", provider=columns["provider"], model="m", credential=credential)
        shown = routing.deployment_data(row).credential
        assert shown is not None
        assert shown.limits_each_model is expected

    def test_of_a_short_secret_nothing_is_shown(self) -> None:
        assert a_credential(secret="short-secret").hint == ""

    @pytest.mark.parametrize("secret", ["two words", "a\nline", "é", "x" * 10_001, "\x00"])
    def test_what_is_no_secret_is_refused(self, secret: str) -> None:
        assert "secret" in _errors(services.create_credential, name="a", provider="openai", secret=secret)
        assert Credential.objects.count() == 0

    @pytest.mark.parametrize(
        "address", ["http://8.8.8.8/v1", "https://127.0.0.1/v1", "https://169.254.169.254/", "https://u:p@8.8.8.8/"]
    )
    def test_an_address_that_may_not_be_sent_to_is_refused(self, address: str) -> None:
        assert "base_url" in _errors(services.create_credential, name="a", provider="openai", base_url=address)

    def test_only_a_client_that_can_be_held_to_an_address_gets_one(self) -> None:
        errors = _errors(services.create_credential, name="a", provider="anthropic", base_url=ADDRESS)
        assert "openai" in errors["base_url"][0]

    def test_one_that_is_used_is_not_deleted(self) -> None:
        row = a_credential()
        a_deployment("gpt", provider="openai", model="gpt-4o", credential=row)
        with pytest.raises(InUse, match="gpt"):
            services.delete_credential(credential=row, actor=SYSTEM)
        services.delete_deployment(deployment=Deployment.objects.get(), actor=SYSTEM)
        services.delete_credential(credential=row, actor=SYSTEM)
        assert Credential.objects.count() == 0


class TestDeployments:
    def test_it_needs_no_key_to_be_set_up(self) -> None:
        row = a_deployment("gpt", provider="openai", model="gpt-4o", parameters={"temperature": 0.2})
        assert Deployment.objects.get() == row

    @pytest.mark.parametrize(
        ("field", "wrong"),
        [
            ("model", {"model": "has spaces"}),
            ("model", {"provider": "anthropic"}),
            ("provider", {"provider": "nobody"}),
            ("parameters", {"parameters": {"api_key": "x"}}),
            ("parameters", {"parameters": {"base_url": ADDRESS}}),
            ("parameters", {"parameters": {"model_kwargs": {"extra_headers": {}}}}),
            ("parameters", {"parameters": {"extra_body": {"api_base": ADDRESS}}}),
            ("parameters", {"parameters": {"extra_body": {"model": "another"}}}),
            ("parameters", {"parameters": {"model_kwargs": {"extra_body": {"messages": []}}}}),
            ("parameters", {"parameters": {"model_name": "another"}}),
            ("parameters", {"parameters": {"temperature": float("nan")}}),
            ("parameters", {"parameters": {"extra_body": {"penalties": [1, {"more": float("inf")}]}}}),
            ("parameters", {"parameters": {"stop": ["\x00"]}}),
            ("parameters", {"parameters": {"extra_body": {"half \ud83d": 1}}}),
            ("parameters", {"parameters": {"temprature": 0.2}}),
            ("parameters", {"parameters": {"temperature": "hot"}}),
            ("parameters", {"parameters": [1]}),
            ("parameters", {"parameters": {"stop": ["x" * 20_000]}}),
            ("name", {"name": "Not A Name"}),
            ("most_concurrent", {"most_concurrent": 0}),
        ],
    )
    def test_what_would_fail_later_is_refused_now(self, field: str, wrong: dict[str, Any]) -> None:
        given = {"name": "gpt", "provider": "openai", "model": "gpt-4o"} | wrong
        assert field in _errors(services.create_deployment, **given)
        assert Deployment.objects.count() == 0

    def test_a_credential_is_for_its_provider(self) -> None:
        assert "credential" in _errors(
            services.create_deployment, name="a", provider="scripted", model="echo", credential=a_credential()
        )

    def test_a_change_is_recorded_field_by_field_and_none_is_not(self) -> None:
        row = a_deployment()
        services.change_deployment(deployment=row, changes={"most_concurrent": 4}, actor=SYSTEM)
        services.change_deployment(deployment=row, changes={"most_concurrent": 4}, actor=SYSTEM)
        event = AuditEvent.objects.get(verb="deployment.change")
        assert event.changes == {"most_concurrent": {"before": None, "after": 4}}

    def test_one_that_a_route_leads_to_is_not_deleted(self) -> None:
        row = a_deployment()
        a_route(row)
        with pytest.raises(InUse, match="fast"):
            services.delete_deployment(deployment=row, actor=SYSTEM)


class TestRoutes:
    def test_steps_are_kept_in_their_order(self) -> None:
        first, second = a_deployment("a"), a_deployment("b")
        row = a_route(second, first)
        assert [step.deployment for step in services.steps_of(row)] == [second, first]
        services.change_route(route=row, changes={}, steps=[Step(first, 3), Step(second, 1)], actor=SYSTEM)
        assert [(step.deployment, step.weight) for step in services.steps_of(row)] == [(first, 3), (second, 1)]
        event = AuditEvent.objects.get(verb="route.change")
        assert event.changes["steps"]["after"] == [["a", 3], ["b", 1]]

    def test_a_route_leads_somewhere_and_to_each_deployment_once(self) -> None:
        one = a_deployment()
        assert "steps" in _errors(services.create_route, name="fast", steps=[])
        assert "steps" in _errors(services.create_route, name="fast", steps=[Step(one), Step(one)])
        assert "steps" in _errors(services.create_route, name="fast", steps=[Step(one, 2_000)])
        assert Route.objects.count() == 0

    def test_routes_do_not_lead_round_in_a_circle(self) -> None:
        one = a_deployment()
        first = a_route(one, name="first")
        second = a_route(one, name="second", longer_route=first)
        third = a_route(one, name="third", longer_route=second)
        errors = _errors(services.change_route, route=first, changes={"longer_route": third})
        assert "longer_route" in errors
        with pytest.raises(InUse, match="second"):
            services.delete_route(route=first, actor=SYSTEM)

    def test_an_agent_can_name_it_and_then_it_stays(self) -> None:
        with pytest.raises(InvalidAgent):
            create_agent(slug="helper", model="route:fast")
        row = a_route()
        create_agent(slug="helper", model="route:fast")
        with pytest.raises(InUse, match="helper"):
            services.delete_route(route=row, actor=SYSTEM)
