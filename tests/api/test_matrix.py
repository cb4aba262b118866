"""Who may do what: every address and method of the API, for every role. A new one without an entry fails."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest
from django.urls import URLPattern, URLResolver, get_resolver
from rest_framework.test import APIClient

from accounts.models import User
from agents.definitions.models import Agent
from agents.memory.services import post_message, start_conversation
from tests.api.conftest import Submit, approval_of
from tests.conftest import Api

ECHO = {"agent": "echo", "input": "hello"}
# method, address (of the member's things), body, then the status for: nobody, outsider, member, operator, admin
Row = tuple[str, str, Any, int, int, int, int, int]
MATRIX: list[Row] = [
    ("get", "agents", None, 401, 200, 200, 200, 200),
    ("get", "agents/<str:slug>", None, 401, 404, 200, 200, 200),
    ("get", "tasks", None, 401, 200, 200, 200, 200),
    ("post", "tasks", ECHO, 401, 400, 202, 202, 202),
    ("get", "tasks/<uuid:pk>", None, 401, 404, 200, 200, 200),
    ("get", "tasks/<uuid:pk>/events", None, 401, 404, 200, 200, 200),
    ("post", "tasks/<uuid:pk>/cancel", None, 401, 404, 200, 200, 200),
    ("post", "tasks/<uuid:pk>/retry", None, 401, 404, 409, 409, 409),
    ("post", "tasks/<uuid:pk>/resume", {"value": 1}, 401, 404, 409, 409, 409),
    ("post", "tasks/<uuid:pk>/review", {"decision": "continue"}, 401, 404, 409, 409, 409),
    ("get", "tasks/<uuid:pk>/tool-calls", None, 401, 404, 200, 200, 200),
    ("get", "approvals", None, 401, 200, 200, 200, 200),
    ("post", "approvals/<uuid:pk>/decide", {"decision": "refuse"}, 401, 404, 403, 200, 200),
    ("post", "tasks/bulk", {"tasks": [ECHO]}, 401, 400, 202, 202, 202),
    ("get", "operations", None, 401, 403, 403, 200, 200),
    ("get", "queues", None, 401, 403, 403, 200, 200),
    ("get", "queues/<str:name>", None, 401, 403, 403, 200, 200),
    ("patch", "queues/<str:name>", {"is_paused": True}, 401, 403, 403, 200, 200),
    ("get", "conversations", None, 401, 200, 200, 200, 200),
    ("post", "conversations", {"agent": "echo"}, 401, 400, 201, 201, 201),
    ("get", "conversations/<uuid:pk>", None, 401, 404, 200, 200, 200),
    ("patch", "conversations/<uuid:pk>", {"title": "Parcels"}, 401, 404, 200, 404, 404),
    ("delete", "conversations/<uuid:pk>", None, 401, 404, 204, 404, 404),
    ("get", "conversations/<uuid:pk>/messages", None, 401, 404, 200, 200, 200),
    ("post", "conversations/<uuid:pk>/messages", {"text": "hi"}, 401, 404, 202, 404, 404),
    ("post", "conversations/<uuid:pk>/messages/<uuid:message>/regenerate", None, 401, 404, 409, 404, 404),
    ("get", "schema", None, 200, 200, 200, 200, 200),
    ("get", "docs", None, 200, 200, 200, 200, 200),
]
# The rights to these are tested beside them, in tests/accounts.
ELSEWHERE = {
    "auth/token", "auth/token/refresh", "auth/token/revoke", "me", "api-keys", "api-keys/<uuid:pk>",
    "api-keys/<uuid:pk>/rotate",
}  # fmt: skip
ROLES = ("nobody", "outsider", "member", "operator", "admin")


def _patterns(patterns: list[URLPattern | URLResolver], prefix: str = "") -> Iterator[tuple[str, Any]]:
    for pattern in patterns:
        address = f"{prefix}{pattern.pattern}"
        if isinstance(pattern, URLResolver):
            yield from _patterns(pattern.url_patterns, address)
        else:
            yield address, pattern.callback


def _operations() -> Iterator[tuple[str, str]]:
    for address, view in _patterns(get_resolver().url_patterns):
        if address.startswith("api/v1/") and (name := address.removeprefix("api/v1/")) not in ELSEWHERE:
            for method in ("get", "post", "put", "patch", "delete"):
                if hasattr(view.cls, method):
                    yield method, name


def test_every_operation_has_its_row() -> None:
    assert {(method, address) for method, address, *_ in MATRIX} == set(_operations())


@pytest.mark.parametrize("role", ROLES)
@pytest.mark.parametrize("row", MATRIX, ids=[f"{row[0]} {row[1]}" for row in MATRIX])
@pytest.mark.django_db
def test_roles(
    request: pytest.FixtureRequest,
    api: Api,
    member: User,
    agent: Agent,
    submitted: Submit,
    role: str,
    row: Row,
) -> None:
    method, address, body, *statuses = row
    thing: object = submitted(member).pk
    message: object = ""
    if address.startswith("approvals"):
        thing = approval_of(submitted(member)).pk
    if address.startswith("conversations"):
        conversation = start_conversation(owner=member, agent=agent)
        thing = conversation.pk
        message = post_message(conversation=conversation, text="hello", owner=member).message.pk
    path = address.replace("<uuid:pk>", str(thing)).replace("<uuid:message>", str(message))
    path = path.replace("<str:slug>", "echo").replace("<str:name>", "interactive")
    client = APIClient() if role == "nobody" else api(request.getfixturevalue(role))
    response = getattr(client, method)(f"/api/v1/{path}", body)
    assert response.status_code == statuses[ROLES.index(role)]
    if response.status_code >= 400:
        assert response["Content-Type"] == "application/problem+json"
        assert response.json()["request_id"]
