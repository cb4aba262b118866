"""What an agent's model would not take is refused when the agent is saved, not in its first task."""

from __future__ import annotations

from typing import Any

import pytest

from agents.definitions import registry
from agents.definitions.data import Configuration
from agents.definitions.exceptions import InvalidAgent
from agents.definitions.validators import validate
from agents.gateway.models import Deployment
from agents.gateway.trying import try_on
from tests.gateway.settings_made import a_credential, a_deployment, a_route

pytestmark = pytest.mark.django_db

OPENAI = "openai:gpt-4o-mini"


def _said(model: str, **parameters: Any) -> list[str]:
    """What is said of the parameters."""
    try:
        validate(Configuration(model=model, parameters=parameters, limits={}))
    except InvalidAgent as error:
        others = [f"{field} is wrong" for field in error.errors if field != "parameters"]
        return [*error.errors.get("parameters", ()), *others]
    return []


@pytest.fixture(autouse=True)
def _no_key(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("OPENAI_API_KEY", raising=False)


@pytest.mark.parametrize(
    ("model", "parameters", "sentence"),
    [
        (OPENAI, {"temprature": 1}, "The model's client knows no parameter “temprature”."),
        (OPENAI, {"temperature": "hot"}, "temperature: Input should be a valid number"),
        (OPENAI, {"model_kwargs": "x"}, "The model's client does not take them"),
        ("local:smollm2-135m", {"top_p": 1}, "top_p: Extra inputs are not permitted."),
        ("local:smollm2-135m", {"temperature": 5}, "temperature: Input should be less than or equal to 2."),
    ],
)
def test_what_no_call_could_be_made_with_is_refused(model: str, parameters: dict[str, Any], sentence: str) -> None:
    [said] = _said(model, **parameters)
    assert said.startswith(sentence)
    assert "\n" not in said


@pytest.mark.parametrize(
    ("model", "parameters"),
    [
        (OPENAI, {"temperature": 0.2, "max_tokens": 5, "stop": ["."], "extra_body": {"top_k": 2}}),
        ("local:smollm2-135m", {"temperature": 0, "max_tokens": 40}),
        ("scripted:slow", {"pieces": 2, "delay": 0}),
        ("scripted:known-to-another-process", {"any": 1}),
    ],
)
def test_the_others_are_taken(model: str, parameters: dict[str, Any]) -> None:
    assert _said(model, **parameters) == []


def test_agents_that_ship_are_taken_with_a_model_of_their_own() -> None:
    for definition in registry.definitions():
        configuration = definition.configuration()
        assert _said(configuration.model or OPENAI, **configuration.parameters) == []


def test_a_route_is_asked_for_each_of_its_deployments() -> None:
    keyed = a_deployment("keyed", provider="openai", model="gpt-4o", credential=a_credential())
    local = a_deployment("local", provider="local", model="smollm2-135m", parameters={"temperature": 0})
    off = a_deployment("off", provider="local", model="smollm2-135m", is_enabled=False)
    a_route(a_deployment("echo"), keyed, local, off, name="fast")
    assert _said("route:fast", max_tokens=5, temperature=1) == []
    assert _said("route:fast", top_p=1) == ["local: top_p: Extra inputs are not permitted."]
    assert [said.partition(":")[0] for said in _said("route:fast", max_tokens="all")] == ["keyed", "local"]


def test_a_model_that_cannot_be_used_here_says_so_itself() -> None:
    with pytest.raises(InvalidAgent) as refused:
        validate(Configuration(model="anthropic:claude", parameters={"temprature": 1}, limits={}))
    assert [*refused.value.errors] == ["model"]
    validate(Configuration(model=OPENAI, parameters={"temprature": 1}, limits={}), check_model=False)


def test_a_client_that_lacks_something_else_says_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    def without_key(_row: Deployment) -> Any:
        raise RuntimeError("The client's own error for a missing key.")

    monkeypatch.setattr("agents.gateway.trying.try_on", without_key)
    assert _said(OPENAI, temprature=1) == []


def test_looking_at_them_changes_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    built: list[Deployment] = []

    def noted(row: Deployment) -> Any:
        built.append(row)
        return try_on(row)

    monkeypatch.setattr("agents.gateway.trying.try_on", noted)
    # LangChain takes what it knows out of it.
    nested = {"model_kwargs": {"temperature": 1}}
    assert _said(OPENAI, **nested) == []
    a_deployment("gpt", provider="openai", model="gpt-4o", parameters=nested)
    assert built
    assert nested == {"model_kwargs": {"temperature": 1}} == Deployment.objects.get().parameters
