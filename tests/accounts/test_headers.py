"""How a credential is presented: two headers, one meaning, and nothing is guessed."""

from __future__ import annotations

from typing import Any

import pytest
from rest_framework.test import APIClient

from accounts.models import User
from tests.accounts.conftest import Client, Issue

pytestmark = pytest.mark.django_db
ME = "/api/v1/me"


@pytest.fixture
def token(member: User) -> str:
    given = {"username": "member", "password": "member-password-1"}
    access: str = APIClient().post("/api/v1/auth/token", given).json()["access"]
    return access


def ask(bearing: Client, authorization: str | None = None, key: str | None = None, path: str = ME) -> Any:
    headers = {"HTTP_AUTHORIZATION": authorization, "HTTP_X_API_KEY": key}
    return bearing(**{name: value for name, value in headers.items() if value is not None}).get(path)


def test_every_right_form_opens(issue: Issue, bearing: Client, token: str) -> None:
    key = issue().key
    forms: list[tuple[str | None, str | None]] = [
        (f"Bearer {key}", None), (f"bearer {key}", None), (f"BEARER  {key} ", None), (None, key), (None, f" {key} "),
        (f"Bearer {token}", None), (f"Bearer {key}", key),
    ]  # fmt: skip
    assert [ask(bearing, *form).status_code for form in forms] == [200] * len(forms)


def test_every_other_form_is_refused_also_beside_a_right_one(issue: Issue, bearing: Client, token: str) -> None:
    key, other = issue().key, issue(name="other").key
    wrong: list[tuple[str | None, str | None]] = [
        ("", None), (" ", None), ("Bearer", None), ("Bearer ", None), (key, None), (token, None),
        (f"Api-Key {key}", None), (f"Token {key}", None), (f"Basic {key}", None), ("Basic bWVtYmVyOng=", None),
        (f"Bearer {key} {other}", None), (f"Bearer {key},Bearer {other}", None), (f"Bearer {key},Bearer {key}", None),
        (f"Bearer {key}, Bearer {token}", None), (f"Bearer\t{key}", None), (f"Bearer {key}\x00", None),
        (f"Bearer {key}é", None), (None, ""), (None, " "), (None, f"{key},{other}"), (None, f"{key} {key}"),
        (f"Bearer {key}", other), (f"Bearer {token}", key), (f"Bearer {key}", ""), ("", key), ("Basic x", key),
        (f"Bearer {'a' * 5000}", None),
    ]  # fmt: skip
    for form in wrong:
        answer = ask(bearing, *form)
        assert (answer.status_code, answer.json()["type"]) == (401, "urn:mutirao:invalid-credentials"), form
        assert answer["WWW-Authenticate"].startswith("Bearer")
        assert key not in answer.content.decode()


def test_a_token_is_no_key(bearing: Client, token: str) -> None:
    answer = ask(bearing, None, token)
    assert (answer.status_code, answer.json()["type"]) == (401, "urn:mutirao:invalid-key")


@pytest.mark.parametrize("name", ["key", "api_key", "api-key", "token", "access_token", "Authorization", "X-Api-Key"])
def test_what_stands_in_the_address_is_no_credential(
    issue: Issue, bearing: Client, name: str, caplog: pytest.LogCaptureFixture, capsys: pytest.CaptureFixture[str]
) -> None:
    key = issue().key
    answer = bearing().get(ME, query_params={name: key})
    assert (answer.status_code, answer.json()["type"]) == (401, "urn:mutirao:not-authenticated")
    logged = caplog.text + "".join(capsys.readouterr())
    assert key not in logged
    assert "/api/v1/me" in logged
    right = ask(bearing, f"Bearer {key}", None, f"{ME}?{name}={issue(name='other').key}")
    assert right.status_code == 200


def test_a_cookie_is_no_credential_for_the_api(client: Any, member: User) -> None:
    client.force_login(member)
    assert client.get("/").status_code == 200
    assert client.get(ME).status_code == 401


def test_other_origins_are_not_let_in(issue: Issue, bearing: Client) -> None:
    client = bearing(issue().key, HTTP_ORIGIN="https://evil.example")
    for answer in (client.get(ME), client.options(ME)):
        assert not [name for name in answer.headers if name.lower().startswith("access-control-")]
