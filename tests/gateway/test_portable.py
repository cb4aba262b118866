"""Deployments, routes and prices in a file, and back."""

from __future__ import annotations

import io
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest
import yaml
from django.core.management import CommandError, call_command

from agents.definitions.models import Agent
from agents.gateway.models import Deployment, Price, Route
from agents.gateway.portable import _targets_first
from agents.gateway.services import steps_of
from tests.gateway.settings_made import SECRET, a_credential, a_deployment, a_price, a_route

pytestmark = pytest.mark.django_db
MOMENT = datetime(2026, 1, 31, tzinfo=UTC)


def _run(command: str, *arguments: object) -> str:
    output = io.StringIO()
    call_command(command, *map(str, arguments), stdout=output)
    return output.getvalue()


@pytest.fixture
def file(tmp_path: Path) -> Path:
    gpt = a_deployment("gpt", provider="openai", model="gpt-4o", credential=a_credential())
    long = a_route(gpt, name="zebra")
    a_route(a_deployment(), gpt, name="fast", longer_route=long, deadline_seconds=9)
    a_price(valid_from=MOMENT)
    path = tmp_path / "mutirao.yaml"
    _run("export", path)
    return path


def test_no_secret_is_in_the_file(file: Path) -> None:
    document = yaml.safe_load(file.read_text())
    assert SECRET not in file.read_text()
    assert document["deployments"]["gpt"]["credential"] == "main"
    assert document["routes"]["fast"]["steps"] == [["echo", 1], ["gpt", 1]]
    assert [*document["routes"]] == ["zebra", "fast"]
    assert document["prices"] == {
        "openai:m 2026-01-31T00:00:00+00:00": {
            "input_price": "1", "output_price": "2", "cached_price": None, "reasoning_price": None, "note": "",
        },
    }  # fmt: skip


def test_what_was_exported_can_be_made_again(file: Path) -> None:
    # In the order of the file, whatever it is: kinds are applied in their own.
    document = yaml.safe_load(file.read_text())
    document["agents"] = {"helper": {"model": "route:fast"}}
    file.write_text(yaml.safe_dump(document, sort_keys=False))
    Route.objects.all().delete()
    Deployment.objects.all().delete()
    Price.objects.all().delete()
    _run("apply", file)
    assert [step.deployment.name for step in steps_of(Route.objects.get(name="fast"))] == ["echo", "gpt"]
    assert Route.objects.get(name="fast").longer_route == Route.objects.get(name="zebra")
    assert Price.objects.get().valid_from == MOMENT
    assert Agent.objects.get(slug="helper").current_version.model == "route:fast"  # type: ignore[union-attr]
    assert _run("apply", file) == "Nothing to change.\n"


@pytest.mark.parametrize(
    ("kind", "entry"),
    [
        ("deployments", {"new": {"provider": "openai", "model": "m", "credential": "nobody"}}),
        ("deployments", {"new": {"provider": "openai", "model": "m", "parameters": {"api_key": "x"}}}),
        ("routes", {"new": {"steps": [["nobody", 1]]}}),
        ("routes", {"new": {"steps": "gpt"}}),
        ("routes", {"new": {"steps": [["gpt", "much"]]}}),
        ("prices", {"openai:m 2026-01-31T00:00:00+00:00": {"input_price": "9", "output_price": "2"}}),
        ("prices", {"openai:m yesterday": {"input_price": "9", "output_price": "2"}}),
        ("prices", {"openai:m 2027-01-31T00:00:00+00:00": {"input_price": "cheap", "output_price": "2"}}),
        ("prices", {"openai:m 2027-01-31T00:00:00+00:00": {"input_price": "9"}}),
    ],
)
def test_what_cannot_be_is_refused(file: Path, kind: str, entry: dict[str, Any]) -> None:
    file.write_text(yaml.safe_dump({"mutirao": 1, kind: entry}))
    with pytest.raises(CommandError):
        _run("apply", file)
    assert (Deployment.objects.count(), Route.objects.count(), Price.objects.count()) == (2, 2, 1)


def test_two_routes_that_lead_to_each_other_are_exported_each_once() -> None:
    said = {"a": {"longer_route": "b", "refused_route": None}, "b": {"longer_route": None, "refused_route": "a"}}
    assert sorted(_targets_first(said)) == ["a", "b"]
