"""Errors as problem documents."""

from __future__ import annotations

import pytest
from django.db import InterfaceError, OperationalError
from rest_framework.test import APIRequestFactory

from foundation.problems import exception_handler


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
