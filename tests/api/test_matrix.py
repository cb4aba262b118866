"""Who may do what: every address and method of the API, for every role. A new one without an entry fails."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest
from django.db import transaction
from django.urls import get_resolver
from rest_framework.test import APIClient

from accounts.models import User
from agents.definitions.models import Agent
from tests.conftest import Api
from tests.security.routes import things_of, walk

pytestmark = pytest.mark.once

ECHO = {"agent": "echo", "input": "hello"}
HOURLY = {"name": "Hourly", "agent": "echo", "input": "hello", "cron": "0 * * * *"}
BUDGET = {"subject": "everybody", "unit": "cost", "period": "day", "amount": "5"}
ECHOING = {"name": "echoing", "provider": "scripted", "model": "echo"}
DOLLAR = {"provider": "openai", "model": "m", "input_price": "1", "output_price": "1"}
# A public address, not a name: nobody is asked where it leads, and nothing is sent.
RECEIVER = "https://8.8.8.8/hook"
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
    ("get", "schedules", None, 401, 200, 200, 200, 200),
    ("post", "schedules", HOURLY, 401, 400, 201, 201, 201),
    ("get", "schedules/<uuid:pk>", None, 401, 404, 200, 200, 200),
    ("patch", "schedules/<uuid:pk>", {"name": "Daily"}, 401, 404, 200, 403, 200),
    ("delete", "schedules/<uuid:pk>", None, 401, 404, 204, 403, 204),
    ("post", "schedules/<uuid:pk>/pause", None, 401, 404, 200, 200, 200),
    ("post", "schedules/<uuid:pk>/resume", None, 401, 404, 200, 200, 200),
    ("post", "schedules/<uuid:pk>/run", None, 401, 404, 202, 202, 202),
    ("get", "schedules/<uuid:pk>/runs", None, 401, 404, 200, 200, 200),
    ("get", "conversations", None, 401, 200, 200, 200, 200),
    ("post", "conversations", {"agent": "echo"}, 401, 400, 201, 201, 201),
    ("get", "conversations/<uuid:pk>", None, 401, 404, 200, 200, 200),
    ("patch", "conversations/<uuid:pk>", {"title": "Parcels"}, 401, 404, 200, 404, 404),
    ("delete", "conversations/<uuid:pk>", None, 401, 404, 204, 404, 404),
    ("get", "conversations/<uuid:pk>/messages", None, 401, 404, 200, 200, 200),
    ("post", "conversations/<uuid:pk>/messages", {"text": "hi"}, 401, 404, 202, 404, 404),
    ("post", "conversations/<uuid:pk>/messages/<uuid:message>/regenerate", None, 401, 404, 409, 404, 404),
    ("post", "conversations/<uuid:pk>/messages/<uuid:message>/reject", None, 401, 404, 409, 404, 404),
    ("get", "webhooks", None, 401, 200, 200, 200, 200),
    ("post", "webhooks", {"url": RECEIVER}, 401, 201, 201, 201, 201),
    ("post", "webhooks/task-secret", None, 401, 201, 201, 201, 201),
    ("get", "webhooks/deliveries", None, 401, 200, 200, 200, 200),
    ("get", "webhooks/deliveries/<uuid:pk>", None, 401, 404, 200, 200, 200),
    ("post", "webhooks/deliveries/<uuid:pk>/replay", None, 401, 404, 409, 409, 409),
    ("get", "webhooks/<uuid:pk>", None, 401, 404, 200, 200, 200),
    ("patch", "webhooks/<uuid:pk>", {"description": "orders"}, 401, 404, 200, 404, 404),
    ("delete", "webhooks/<uuid:pk>", None, 401, 404, 204, 404, 404),
    ("post", "webhooks/<uuid:pk>/rotate", None, 401, 404, 201, 404, 404),
    ("post", "webhooks/<uuid:pk>/test", None, 401, 404, 202, 404, 404),
    ("get", "models/credentials", None, 401, 403, 403, 200, 200),
    ("post", "models/credentials", {"name": "main", "provider": "openai"}, 401, 403, 403, 403, 201),
    ("get", "models/credentials/<uuid:pk>", None, 401, 403, 403, 200, 200),
    ("patch", "models/credentials/<uuid:pk>", {"secret": "sk-of-a-test"}, 401, 403, 403, 403, 200),
    ("delete", "models/credentials/<uuid:pk>", None, 401, 403, 403, 403, 204),
    ("get", "models/deployments", None, 401, 403, 403, 200, 200),
    ("post", "models/deployments", ECHOING, 401, 403, 403, 403, 201),
    ("get", "models/deployments/<uuid:pk>", None, 401, 403, 403, 200, 200),
    ("patch", "models/deployments/<uuid:pk>", {"most_requests": 9}, 401, 403, 403, 403, 200),
    ("delete", "models/deployments/<uuid:pk>", None, 401, 403, 403, 403, 204),
    ("post", "models/deployments/<uuid:pk>/try", None, 401, 403, 403, 403, 200),
    ("get", "models/routes", None, 401, 403, 403, 200, 200),
    ("post", "models/routes", {"name": "slow", "steps": [{"deployment": "routed"}]}, 401, 403, 403, 403, 201),
    ("get", "models/routes/<uuid:pk>", None, 401, 403, 403, 200, 200),
    ("patch", "models/routes/<uuid:pk>", {"description": "quick"}, 401, 403, 403, 403, 200),
    ("delete", "models/routes/<uuid:pk>", None, 401, 403, 403, 403, 204),
    ("get", "models/prices", None, 401, 403, 403, 200, 200),
    ("post", "models/prices", DOLLAR, 401, 403, 403, 403, 201),
    ("get", "model-calls", None, 401, 200, 200, 200, 200),
    ("get", "tasks/<uuid:pk>/calls", None, 401, 404, 200, 200, 200),
    ("get", "circuits", None, 401, 403, 403, 200, 200),
    ("get", "circuits/<path:key>", None, 401, 403, 403, 200, 200),
    ("post", "circuits/<path:key>/force", {"state": "open"}, 401, 403, 403, 200, 200),
    ("post", "circuits/<path:key>/release", None, 401, 403, 403, 409, 409),
    ("get", "circuits/<path:key>/changes", None, 401, 403, 403, 200, 200),
    ("get", "cache/entries", None, 401, 200, 200, 200, 200),
    ("get", "cache/entries/<uuid:pk>", None, 401, 404, 200, 200, 200),
    ("delete", "cache/entries/<uuid:pk>", None, 401, 404, 204, 204, 204),
    ("post", "cache/evictions", {"tag": "prices"}, 401, 403, 403, 200, 200),
    ("get", "cache/statistics", None, 401, 403, 403, 200, 200),
    ("get", "cache/calibrations", None, 401, 403, 403, 200, 200),
    ("post", "cache/calibrations/<uuid:pk>/start", None, 401, 403, 403, 200, 200),
    ("post", "tasks/<uuid:pk>/reject-answers", None, 401, 404, 200, 404, 404),
    ("get", "usage", None, 401, 200, 200, 200, 200),
    ("get", "quotas", None, 401, 200, 200, 200, 200),
    ("post", "quotas", BUDGET, 401, 403, 403, 403, 201),
    ("get", "quotas/<uuid:pk>", None, 401, 404, 200, 200, 200),
    ("patch", "quotas/<uuid:pk>", {"amount": "2"}, 401, 404, 403, 403, 200),
    ("delete", "quotas/<uuid:pk>", None, 401, 404, 403, 403, 204),
    ("get", "rate-limits", None, 401, 200, 200, 200, 200),
    ("post", "rate-limits", {"subject": "everybody", "rate": "9999/m"}, 401, 403, 403, 403, 201),
    ("get", "rate-limits/<uuid:pk>", None, 401, 404, 200, 200, 200),
    ("patch", "rate-limits/<uuid:pk>", {"rate": "8888/m"}, 401, 404, 403, 403, 200),
    ("delete", "rate-limits/<uuid:pk>", None, 401, 404, 403, 403, 204),
    ("get", "audit", None, 401, 403, 403, 403, 200),
    ("get", "audit/export", None, 401, 403, 403, 403, 200),
    ("get", "me/export", None, 401, 200, 200, 200, 200),
    ("get", "agents/<str:slug>/grants", None, 401, 404, 403, 403, 200),
    ("post", "agents/<str:slug>/grants", {"user": "member", "verb": "use"}, 401, 404, 403, 403, 201),
    ("delete", "agents/<str:slug>/grants/<str:grant>", None, 401, 404, 403, 403, 204),
    ("get", "conversations/<uuid:pk>/grants", None, 401, 404, 200, 404, 404),
    ("post", "conversations/<uuid:pk>/grants", {"role": "member", "verb": "view"}, 401, 404, 201, 404, 404),
    ("delete", "conversations/<uuid:pk>/grants/<str:grant>", None, 401, 404, 204, 404, 404),
    ("get", "users", None, 401, 403, 403, 403, 200),
    ("post", "users", {"username": "ana", "email": "ana@example.org"}, 401, 403, 403, 403, 201),
    ("get", "users/<uuid:pk>", None, 401, 404, 200, 404, 200),
    ("patch", "users/<uuid:pk>", {"username": "m"}, 401, 404, 403, 404, 200),
    ("get", "users/<uuid:pk>/access", None, 401, 404, 200, 404, 200),
    ("get", "roles", None, 401, 403, 403, 403, 200),
    ("post", "roles", {"name": "librarian"}, 401, 403, 403, 403, 201),
    ("get", "roles/<str:name>", None, 401, 403, 403, 403, 200),
    ("patch", "roles/<str:name>", {"name": "librarian"}, 401, 403, 403, 403, 200),
    ("delete", "roles/<str:name>", None, 401, 403, 403, 403, 204),
    ("get", "schema", None, 200, 200, 200, 200, 200),
    ("get", "docs", None, 200, 200, 200, 200, 200),
]
# The rights to these are tested beside them, in tests/accounts.
ELSEWHERE = {
    "auth/token", "auth/token/refresh", "auth/token/revoke", "me", "api-keys", "api-keys/<uuid:pk>",
    "api-keys/<uuid:pk>/rotate",
}  # fmt: skip
ROLES = ("nobody", "outsider", "member", "operator", "admin")


def _operations() -> Iterator[tuple[str, str]]:
    for address, view in walk(get_resolver().url_patterns):
        if address.startswith("api/v1/") and (name := address.removeprefix("api/v1/")) not in ELSEWHERE:
            for method in ("get", "post", "put", "patch", "delete"):
                if hasattr(view.cls, method):
                    yield method, name


def test_every_operation_has_its_row() -> None:
    assert {(method, address) for method, address, *_ in MATRIX} == set(_operations())


@pytest.mark.parametrize("role", ROLES)
@pytest.mark.django_db
def test_roles(request: pytest.FixtureRequest, api: Api, member: User, agent: Agent, role: str) -> None:
    things = things_of(member, agent)
    client = APIClient() if role == "nobody" else api(request.getfixturevalue(role))
    wrong = []
    for method, address, body, *statuses in MATRIX:
        with transaction.atomic():
            response = getattr(client, method)(things.path(f"api/v1/{address}"), body)
            transaction.set_rollback(True)
        if response.status_code != statuses[ROLES.index(role)]:
            wrong.append((method, address, response.status_code))
        if response.status_code >= 400:
            assert response["Content-Type"] == "application/problem+json"
            assert response.json()["request_id"]
    assert wrong == []
