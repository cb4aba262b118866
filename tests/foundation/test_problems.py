"""Errors as problem documents."""

from __future__ import annotations

import pytest
from django.db import InterfaceError, OperationalError
from rest_framework.test import APIRequestFactory

from accounts.models import User
from foundation.problems import exception_handler
from tests.conftest import Api


@pytest.mark.parametrize("error", [OperationalError("server closed the connection"), InterfaceError("closed")])
def test_a_database_that_is_away_is_a_503_that_says_when_to_come_back(error: Exception) -> None:
    response = exception_handler(error, {"request": APIRequestFactory().get("/api/v1/tasks")})
    assert response is not None
    assert response.status_code == 503
    assert response.headers["Retry-After"] == "2"
    assert response.data["type"] == "urn:mutirao:unavailable"
    assert "closed" not in response.data["detail"]


def test_an_error_of_our_own_is_nobodys_problem_document() -> None:
    assert exception_handler(RuntimeError("ours"), {"request": APIRequestFactory().get("/api/v1/tasks")}) is None


@pytest.mark.parametrize(
    "address",
    [
        "tasks?created_after=0001-01-01T00:00:00%2B14:00", "tasks?created_before=9999-12-31T23:59:59-14:00",
        "conversations?updated_after=0001-01-01T00:00:00%2B14:00", "audit?since=0001-01-01T00:00:00%2B14:00",
        "webhooks/deliveries?created_before=9999-12-31T23:59:59-14:00",
    ],
)  # fmt: skip
@pytest.mark.django_db
def test_a_moment_at_the_end_of_the_calendar_is_the_callers_mistake(api: Api, admin: User, address: str) -> None:
    assert api(admin).get(f"/api/v1/{address}").status_code == 400
