"""What a person sees when something is wrong: a page of ours, with the request's id and a way back."""

from __future__ import annotations

from typing import Any

import pytest
from django.core.exceptions import PermissionDenied, SuspiciousOperation
from django.db import OperationalError
from django.http import HttpRequest, HttpResponse
from django.test import Client, override_settings
from django.urls import include, path

from mutirao.pages import errors

ID = "01234567-error-page"


def broken(request: HttpRequest, kind: str) -> HttpResponse:
    raise {
        "bad": SuspiciousOperation("no"),
        "forbidden": PermissionDenied("no"),
        "bug": ZeroDivisionError("secret detail"),
        "away": OperationalError("secret address"),
    }[kind]


urlpatterns = [
    path("broken/<str:kind>/", broken),
    path("api/v1/broken/<str:kind>/", broken),
    path("", include("mutirao.urls")),
]
handler400, handler403, handler404 = errors.bad_request, errors.permission_denied, errors.not_found
handler429, handler500 = errors.too_many, errors.server_error


@pytest.fixture
def visitor() -> Any:
    with override_settings(ROOT_URLCONF=__name__):
        yield Client(raise_request_exception=False, headers={"x-request-id": ID})


PAGES = [("bad", 400), ("forbidden", 403), ("bug", 500), ("away", 503)]


@pytest.mark.parametrize(("kind", "status"), PAGES)
def test_every_error_has_its_page_which_needs_no_database(visitor: Client, kind: str, status: int) -> None:
    response = visitor.get(f"/broken/{kind}/")
    text = response.content.decode()
    assert (response.status_code, response.headers["Cache-Control"]) == (status, "no-store")
    assert f"<code>{ID}</code>" in text
    assert 'href="/"' in text
    assert "secret" not in text
    assert "script-src 'self'" in response.headers["Content-Security-Policy"]


def test_a_missing_page_has_its_page_in_the_language_of_the_browser(visitor: Client) -> None:
    response = visitor.get("/nothing/", headers={"accept-language": "pt-br"})
    assert response.status_code == 404
    assert '<html lang="pt-br"' in response.content.decode()


@pytest.mark.parametrize(("kind", "status"), [("bad", 400), ("forbidden", 403), ("bug", 500)])
def test_the_api_keeps_its_problem_documents(visitor: Client, kind: str, status: int) -> None:
    response = visitor.get(f"/api/v1/broken/{kind}/")
    assert (response.status_code, response.headers["Content-Type"]) == (status, "application/problem+json")
    assert response.json()["request_id"] == ID
    assert visitor.get("/api/v1/nothing").headers["Content-Type"] == "application/problem+json"


@pytest.mark.django_db
def test_a_form_without_its_token_is_explained() -> None:
    response = Client(enforce_csrf_checks=True).post("/account/login/", {"login": "member"})
    assert response.status_code == 403
    assert "This form has grown too old" in response.content.decode()


@pytest.mark.django_db
def test_too_often_has_its_page(settings: Any) -> None:
    settings.ACCOUNT_RATE_LIMITS = {"login": "1/m/ip"}
    client = Client()
    responses = [client.post("/account/login/", {"login": "", "password": ""}) for _ in range(2)]
    assert [response.status_code for response in responses] == [200, 429]
    assert "That was too often" in responses[1].content.decode()
    assert responses[1].headers["Retry-After"] == "60"
