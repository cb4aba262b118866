"""What a deployment's own parameters and an agent's come to together."""

from __future__ import annotations

import json
import uuid
from typing import Any

import pytest

from agents.gateway import building
from agents.gateway.routing import CredentialData
from tests.gateway.conftest import Model
from tests.gateway.routes import deployment, route
from tests.upstream.client import Upstream

DENY = {"provider": {"data_collection": "deny"}}


@pytest.mark.django_db
def test_what_an_agent_adds_to_the_body_leaves_the_deployments_own_there(upstream: Upstream, model: Model) -> None:
    row = deployment("m", parameters={"temperature": 0.25, "extra_body": DENY | {"min_p": 0.1}})
    more = {"temperature": 0.5, "extra_body": {"top_k": 20, "min_p": 0.9, "provider": {"data_collection": "allow"}}}
    model(route("main", row), more).invoke("hi")
    (asked,) = upstream.requests()
    body = {name: asked.body[name] for name in ("temperature", "provider", "min_p", "top_k")}
    assert body == {"temperature": 0.5, **DENY, "min_p": 0.1, "top_k": 20}


@pytest.mark.parametrize("name", ["extra_body", "model_kwargs"])
@pytest.mark.parametrize(
    ("own", "given", "together"),
    [
        (DENY, {"top_k": 20}, DENY | {"top_k": 20}), (DENY, None, DENY), (DENY, [], DENY),
        (None, {"top_k": 20}, {"top_k": 20}), ({}, {"top_k": 20}, {"top_k": 20}),
    ],
)  # fmt: skip
def test_what_holds_further_parameters_is_merged(name: str, own: Any, given: Any, together: Any) -> None:
    assert building.merged(json.dumps({name: own}), json.dumps({name: given})) == {name: together}


@pytest.mark.parametrize("name", ["organization", "openai_organization"])
def test_an_organization_is_named_by_either_name(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("OPENAI_ORG_ID", "org-env")
    made: Any = building.build(
        "openai", "m", {name: "org-own"}, credential=CredentialData(uuid.uuid4(), "", "sk-entered")
    )
    _url, headers = made._addressed()
    assert headers["openai-organization"] == "org-own"
    assert (made.openai_organization, made.root_client.organization) == ("org-own", "org-own")
