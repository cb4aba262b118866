"""Models in the admin: secrets go in and never come out, and what would fail later is refused beside its field."""

from __future__ import annotations

import uuid
from decimal import Decimal
from typing import Any

import pytest
from django.test import Client
from django.urls import reverse
from django.utils import timezone

from accounts.models import AuditEvent, User
from agents.circuits.models import ForcedCircuit, State
from agents.gateway.models import Credential, Deployment, ModelCall, Price, Route
from agents.gateway.services import steps_of
from tests.gateway.settings_made import ADDRESS, SECRET, a_credential, a_deployment, a_price, a_route

pytestmark = pytest.mark.django_db


@pytest.fixture
def browser(client: Client, admin: User) -> Client:
    client.force_login(admin)
    return client


def page(name: str, verb: str, *args: Any) -> str:
    return reverse(f"admin:agents_gateway_{name}_{verb}", args=args)


def _text(answer: Any) -> str:
    return str(answer.content.decode())


def test_a_secret_is_taken_and_never_shown(browser: Client) -> None:
    form = {"name": "main", "provider": "openai", "base_url": ADDRESS, "rate_limits": "usual", "new_secret": SECRET}
    assert browser.post(page("credential", "add"), form).status_code == 302
    row = Credential.objects.get()
    assert row.secret == SECRET
    for address in (page("credential", "changelist"), page("credential", "change", row.pk)):
        text = _text(browser.get(address))
        assert SECRET not in text
        assert f"…{SECRET[-4:]}" in text
    assert 'type="password"' in _text(browser.get(page("credential", "change", row.pk)))
    assert AuditEvent.objects.filter(verb="credential.create").count() == 1


def test_another_address_clears_it_and_says_so(browser: Client) -> None:
    row = a_credential()
    form = {"base_url": "https://8.8.4.4/v1", "rate_limits": "usual", "new_secret": ""}
    answer = browser.post(page("credential", "change", row.pk), form, follow=True)
    assert "Its secret was cleared" in _text(answer)
    assert Credential.objects.get().secret == ""
    browser.post(page("credential", "change", row.pk), {**form, "new_secret": SECRET})
    assert Credential.objects.get().secret == SECRET


def test_an_address_inside_is_refused_beside_its_field(browser: Client) -> None:
    form = {"name": "main", "provider": "openai", "base_url": "https://127.0.0.1/v1", "rate_limits": "usual"}
    answer = browser.post(page("credential", "add"), form)
    assert "is not a public address" in _text(answer)
    assert Credential.objects.count() == 0


def test_parameters_are_tried_on_when_a_deployment_is_saved(browser: Client) -> None:
    form = {
        "name": "gpt",
        "provider": "openai",
        "model": "gpt-4o",
        "parameters": '{"temprature": 1}',
        "is_enabled": "on",
    }
    assert "knows no parameter “temprature”" in _text(browser.post(page("deployment", "add"), form))
    assert browser.post(page("deployment", "add"), {**form, "parameters": '{"temperature": 1}'}).status_code == 302
    assert Deployment.objects.get().parameters == {"temperature": 1}


@pytest.mark.parametrize("parameters", ['{"temperature": NaN}', '{"temperature": 1e999}', '{"stop": "\\u0000"}'])
def test_what_no_database_can_hold_is_refused_beside_its_field(browser: Client, parameters: str) -> None:
    form = {"name": "gpt", "provider": "openai", "model": "gpt-4o", "parameters": parameters, "is_enabled": "on"}
    assert "cannot be stored" in _text(browser.post(page("deployment", "add"), form))
    assert Deployment.objects.count() == 0


def _steps(*rows: Deployment) -> dict[str, Any]:
    fields: dict[str, Any] = {"steps-TOTAL_FORMS": len(rows), "steps-INITIAL_FORMS": 0}
    for number, row in enumerate(rows):
        fields |= {f"steps-{number}-deployment": row.pk, f"steps-{number}-position": number}
        fields |= {f"steps-{number}-weight": number + 1}
    return fields


def test_a_route_is_saved_with_its_steps(browser: Client) -> None:
    first, second = a_deployment("a"), a_deployment("b")
    form = {"name": "fast", "strategy": "ordered", "is_enabled": "on", "description": ""}
    assert "1 to 20 deployments" in _text(browser.post(page("route", "add"), {**form, **_steps()}))
    assert browser.post(page("route", "add"), {**form, **_steps(second, first)}).status_code == 302
    route = Route.objects.get()
    assert [(step.deployment, step.weight) for step in steps_of(route)] == [(second, 1), (first, 2)]
    assert browser.post(page("route", "change", route.pk), {**form, **_steps(first)}).status_code == 302
    assert [step.deployment for step in steps_of(route)] == [first]
    assert AuditEvent.objects.filter(verb="route.change").count() == 1


def test_what_is_in_use_is_not_deleted_and_says_by_what(browser: Client) -> None:
    row = a_deployment()
    a_route(row)
    answer = browser.post(page("deployment", "delete", row.pk), {"post": "yes"}, follow=True)
    assert Deployment.objects.count() == 1
    assert "fast" in _text(answer)


def test_prices_are_added_and_never_changed(browser: Client) -> None:
    moment = timezone.now()
    form = {
        "provider": "openai", "model": "m", "input_price": "1", "output_price": "2", "note": "",
        "valid_from_0": f"{moment:%Y-%m-%d}", "valid_from_1": f"{moment:%H:%M:%S}",
    }  # fmt: skip
    assert browser.post(page("price", "add"), form).status_code == 302
    row = Price.objects.get()
    assert row.source == "operator"
    browser.post(page("price", "change", row.pk), {**form, "input_price": "9"})
    assert Price.objects.get().input_price == 1
    assert browser.post(page("price", "delete", row.pk), {"post": "yes"}).status_code == 403


@pytest.mark.django_db(transaction=True)
def test_a_deployment_can_be_tried(browser: Client) -> None:
    row, broken = a_deployment(), a_deployment("broken", model="fail", parameters={"error": "unauthorized"})
    assert "Try it" in _text(browser.get(page("deployment", "change", row.pk)))
    assert ModelCall.objects.count() == 0
    assert "It answers" in _text(browser.post(page("deployment", "try", row.pk)))
    assert "The provider refused the credentials." in _text(browser.post(page("deployment", "try", broken.pk)))
    assert ModelCall.objects.count() == 2


def test_an_operator_sees_how_models_are_set_up_and_changes_nothing(client: Client, operator: User) -> None:
    rows = {"credential": a_credential(), "deployment": a_deployment(), "price": a_price()}
    rows["route"] = a_route(rows["deployment"])  # type: ignore[arg-type]
    client.force_login(operator)
    for name, row in rows.items():
        assert client.get(page(name, "change", row.pk)).status_code == 200
        assert client.get(page(name, "add")).status_code == 403
    assert client.post(page("deployment", "try", rows["deployment"].pk)).status_code == 403


def test_a_call_is_read_with_its_tries_its_saving_and_the_evidence(browser: Client) -> None:
    entry = uuid.uuid4()
    tried = {"deployment": "slow-one", "provider": "openai", "model": "m", "outcome": "failed", "ms": 3.0}
    usual: dict[str, Any] = {
        "started_at": timezone.now(),
        "latency_ms": 1,
        "outcome": "succeeded",
        "provider": "openai",
    }
    hit = ModelCall.objects.create(
        **usual, model="m", tier="semantic", cache_entry_id=entry, cost=0, saved_cost=Decimal("0.25"),
        cache_evidence={"score": 0.97},
    )  # fmt: skip
    unknown = ModelCall.objects.create(
        **usual, model="n", route="route:fast", tries=[{**tried, "error": "ModelTimeout"}]
    )
    text = _text(browser.get(page("modelcall", "change", hit.pk)))
    assert all(said in text for said in ("score", "0.97", "0.25", str(entry), "a request with the same meaning"))
    text = _text(browser.get(page("modelcall", "change", unknown.pk)))
    assert all(said in text for said in ("slow-one", "ModelTimeout", "route:fast", "price not known"))
    listed = _text(browser.get(page("modelcall", "changelist"), {"priced": "no"}))
    assert "openai:n" in listed
    assert "openai:m" not in listed


def test_lists_ask_few_questions(browser: Client, django_assert_max_num_queries: Any) -> None:
    credential = a_credential()
    a_route(*(a_deployment(f"d{number}", provider="openai", model="m", credential=credential) for number in range(15)))
    for name in ("route", "deployment", "credential", "price", "modelcall"):
        with django_assert_max_num_queries(12):
            assert browser.get(page(name, "changelist")).status_code == 200


def test_the_list_says_that_a_breaker_is_held_open(browser: Client) -> None:
    row = a_deployment()
    ForcedCircuit.objects.create(key=f"deployment:{row.pk}", state=State.OPEN)
    (shown,) = browser.get(page("deployment", "changelist")).context["cl"].result_list
    assert shown.circuit_state == State.OPEN
