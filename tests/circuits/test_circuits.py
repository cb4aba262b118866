"""Circuit breakers as people see and hold them: API, admin, metrics, rows."""

from __future__ import annotations

import pytest
from django.db import InterfaceError, OperationalError
from prometheus_client import REGISTRY

from accounts.models import AuditEvent, User
from agents.circuits import protection
from agents.circuits.measuring import states
from agents.circuits.models import CircuitChange, ForcedCircuit
from foundation.breakers import CircuitOpen
from tests.circuits.conftest import break_circuit
from tests.conftest import Api

pytestmark = pytest.mark.django_db
ADDRESS = "/api/v1/circuits"


def _standing(api: Api, user: User, key: str) -> dict[str, object]:
    found = api(user).get(f"{ADDRESS}/{key}")
    assert found.status_code == 200, found.content
    document: dict[str, object] = found.json()
    return document


def test_a_breaker_that_opens_says_why_and_leaves_a_row(api: Api, operator: User, key: str) -> None:
    break_circuit(key)
    found = _standing(api, operator, key)
    assert (found["state"], found["why"], found["failures"]) == ("open", "connection refused", 5)
    assert found["until"]
    rows = CircuitChange.objects.filter(key=key).values_list("before", "after", "why")
    assert [*rows] == [("closed", "open", "connection refused")]
    changes = api(operator).get(f"{ADDRESS}/{key}/changes").json()["results"]
    assert [each["after"] for each in changes] == ["open"]


def test_an_operator_holds_one_open_and_lets_go_of_it(api: Api, operator: User, key: str) -> None:
    held = api(operator).post(f"{ADDRESS}/{key}/force", {"state": "open", "reason": "bill not paid"}, format="json")
    assert (held.status_code, held.json()["state"], held.json()["forced"]) == (200, "open", "open")
    with pytest.raises(CircuitOpen):
        protection.permit(key)
    released = api(operator).post(f"{ADDRESS}/{key}/release")
    assert (released.status_code, released.json()["state"]) == (200, "closed")
    protection.permit(key).succeeded()
    assert api(operator).post(f"{ADDRESS}/{key}/release").status_code == 409
    verbs = AuditEvent.objects.filter(verb__startswith="circuit.").order_by("created_at").values_list("verb", flat=True)
    assert [*verbs] == ["circuit.force", "circuit.release"]


def test_one_that_is_held_closed_lets_everything_through(api: Api, operator: User, key: str) -> None:
    break_circuit(key)
    api(operator).post(f"{ADDRESS}/{key}/force", {"state": "closed"}, format="json")
    for _time in range(10):
        protection.permit(key).failed("still")
    assert _standing(api, operator, key)["state"] == "closed"


def test_what_is_held_survives_a_redis_that_forgot_everything(api: Api, operator: User, key: str) -> None:
    api(operator).post(f"{ADDRESS}/{key}/force", {"state": "open"}, format="json")
    protection.circuits().reset(key)
    protection.forget()
    with pytest.raises(CircuitOpen):
        protection.permit(key)


def test_who_may_not_see_them_is_told_so(api: Api, member: User, key: str) -> None:
    assert api(member).get(ADDRESS).status_code == 403
    assert api(member).post(f"{ADDRESS}/{key}/force", {"state": "open"}, format="json").status_code == 403
    assert ForcedCircuit.objects.count() == 0


def test_what_is_not_there_is_not_found_and_nonsense_is_refused(api: Api, operator: User, key: str) -> None:
    assert api(operator).get(f"{ADDRESS}/kettle:none").status_code == 404
    assert api(operator).post(f"{ADDRESS}/{key}/force", {"state": "ajar"}, format="json").status_code == 400


def test_all_of_them_are_listed(api: Api, admin: User, key: str) -> None:
    found = api(admin).get(ADDRESS)
    assert [each["name"] for each in found.json() if each["kind"] == "kettle"] == ["the kettle"]


def test_the_metric_tells_the_state_of_each(key: str) -> None:
    break_circuit(key)
    samples = [sample for metric in states() for sample in metric.samples if sample.labels["kind"] == "kettle"]
    assert [(sample.labels["name"], sample.value) for sample in samples] == [("the kettle", 2)]


def _steps(state: str) -> float:
    labels = {"kind": "kettle", "state": state}
    return REGISTRY.get_sample_value("mutirao_circuit_changes_total", labels) or 0.0


def test_every_step_is_counted_by_kind_and_state(key: str) -> None:
    before = _steps("open"), _steps("closed")
    break_circuit(key)
    protection.circuits().reset(key)
    protection.circuits().reset(key)
    assert (_steps("open"), _steps("closed")) == (before[0] + 1, before[1] + 1)


@pytest.mark.parametrize("error", [OperationalError, InterfaceError])
def test_a_call_goes_on_while_the_database_is_away(
    error: type[Exception], key: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """By what was known of it: one that was held stays so."""
    other = f"{key}-held"
    ForcedCircuit.objects.create(key=other, state="open")
    protection.permit(key).succeeded()
    protection.forget()

    def away(*_columns: str) -> None:
        raise error("connection already closed")

    monkeypatch.setattr(ForcedCircuit.objects, "values_list", away)
    protection.permit(key).succeeded()
    with pytest.raises(CircuitOpen):
        protection.permit(other)
