"""Keys of the cast, and clients that really present a credential."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

import pytest
from rest_framework.test import APIClient

from accounts import authentication, keys
from accounts.audit import SYSTEM
from accounts.issuing import IssuedKey, issue_api_key
from accounts.models import User
from agents.definitions.models import Agent
from agents.definitions.services import create_agent
from tests.accounts.canaries import QUEUE, planted

V1 = "/api/v1"

Issue = Callable[..., IssuedKey]
Client = Callable[..., APIClient]


@pytest.fixture(autouse=True)
def _forgetful() -> Iterator[None]:
    """Nothing of another test is remembered."""
    keys.forget()
    authentication.refused_keys_told.forget()
    yield
    keys.forget()


@pytest.fixture
def issue(member: User) -> Issue:
    """Makes a key, of the member's unless told otherwise."""
    usual: dict[str, Any] = {"owner": member, "name": "tests", "actor": SYSTEM}
    return lambda **options: issue_api_key(**(usual | options))


@pytest.fixture
def bearing() -> Client:
    """A client with this text as `Authorization: Bearer`, or with these headers."""

    def make(text: str = "", **headers: Any) -> APIClient:
        client = APIClient()
        client.credentials(**({"HTTP_AUTHORIZATION": f"Bearer {text}"} if text else {}), **headers)
        return client

    return make


@pytest.fixture
def agent(db: None) -> Agent:
    """Whose queue is this room's tests' own."""
    return create_agent(slug="helper", queue=QUEUE, model="scripted:echo")


@pytest.fixture
def person(agent: Agent, member: User, operator: User, admin: User) -> User:
    """Has touched everything, and left a canary everywhere."""
    return planted(agent, member, operator, admin)
