"""Who may do what: every address and every method, for everybody, and for credentials that open nothing.

What is allowed stands in who_may.txt: method, address, and who is let in. An address that is not there fails; so does
anybody who is let in, or kept out, against it. After a change that is meant, `MUTIRAO_WRITE_MATRIX=1` writes the file
anew; then read the difference.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator
from copy import copy
from http import HTTPStatus
from pathlib import Path
from typing import Any

import pytest
from django.contrib.auth.models import Permission
from django.db import transaction
from django.http import HttpResponseBase
from django.test import Client

from accounts.audit import SYSTEM
from accounts.issuing import issue_api_key
from accounts.models import User
from agents.definitions.models import Agent
from tests.api.conftest import agent
from tests.api.test_matrix import MATRIX as API_MATRIX
from tests.security.credentials import FORGED, signed_in
from tests.security.routes import Things, routes, things_of

__all__ = ["agent"]  # a fixture

pytestmark = [pytest.mark.once, pytest.mark.timeout(600)]

TABLE = Path(__file__).with_name("who_may.txt")
METHODS = ("GET", "POST", "PUT", "PATCH", "DELETE")
PEOPLE = ("nobody", "outsider", "member", "developer", "operator", "auditor", "admin")
NARROW = "narrow-key"  # the admin's key, for a scope that nothing needs here
# Bodies that are good enough to get past validation, so that an answer is about rights.
BODIES: dict[tuple[str, str], Any] = {
    (row[0].upper(), f"api/v1/{row[1]}"): row[2] for row in API_MATRIX if row[2] is not None
} | {("POST", "api/v1/api-keys"): {"name": "another"}}

Table = dict[tuple[str, str], frozenset[str]]


def read_table() -> Table:
    """(method, address) → who is let in."""
    table: Table = {}
    for line in TABLE.read_text().splitlines():
        if line.strip() and not line.startswith("#"):
            method, address, *who = line.split()
            table[method, address.removeprefix("/")] = frozenset(who)
    return table


def _is_in(response: HttpResponseBase, route: str) -> bool:
    """Whether the door was open: done, asked for more, or refused for another reason than who asks."""
    if route.startswith("api/"):
        return response.status_code < 300 or response.status_code == HTTPStatus.CONFLICT
    if response.status_code in (301, 302, 303):
        to = response.headers["Location"]
        # The admin sends those whose thing is not there back to its index.
        return to != "/admin/" and not to.startswith(("/account/login/", "/account/reauthenticate/", "/admin/login"))
    return response.status_code not in (
        HTTPStatus.UNAUTHORIZED, HTTPStatus.FORBIDDEN, HTTPStatus.NOT_FOUND, HTTPStatus.METHOD_NOT_ALLOWED,
    )  # fmt: skip


def _ask(client: Client, method: str, route: str, things: Things, **headers: str) -> HttpResponseBase:
    """One request, whose traces are undone."""
    options: dict[str, Any] = {"content_type": "application/json"} if method != "GET" else {}
    is_form = method == "POST" and not route.startswith("api/")
    data = BODIES.get((method, route), {}) if not is_form else {"x": "y"}
    with transaction.atomic():
        cookies = copy(client.cookies)
        response: HttpResponseBase = getattr(client, method.lower())(
            things.path(route), data, headers=headers, **({} if is_form else options)
        )
        client.cookies = cookies
        transaction.set_rollback(True)
    return response


@pytest.fixture
def developer(db: None) -> User:
    """Makes agents."""
    from tests.conftest import _person

    return _person("developer", "developer")


@pytest.fixture
def auditor(db: None) -> User:
    """Sees everything, changes nothing."""
    from tests.conftest import _person

    return _person("auditor", "auditor", is_staff=True)


@pytest.fixture
def things(member: User, agent: Agent, settings: Any) -> Things:
    """One of each. Nobody is refused for having asked too often: that would look like being kept out."""
    settings.RATE_ADDRESS = settings.RATE_SIGN_IN = settings.RATE_USER = ""
    return things_of(member, agent)


Asks = Callable[[str, str], HttpResponseBase]


def _asker(request: pytest.FixtureRequest, who: str, things: Things) -> Asks:
    """Asks as this person: with a session on pages, with a token in the API."""
    client = Client(raise_request_exception=False)
    headers: dict[str, str] = {}
    if who == NARROW:
        key = issue_api_key(
            owner=request.getfixturevalue("admin"), name="narrow", scopes=["webhooks:read"], actor=SYSTEM
        )
        headers = {"Authorization": f"Bearer {key.key}"}
    elif who != "nobody":
        person = request.getfixturevalue(who)
        client.force_login(person)
        headers = {"Authorization": f"Bearer {signed_in(person).access}"}

    def ask(method: str, route: str) -> HttpResponseBase:
        return _ask(client, method, route, things, **(headers if route.startswith("api/") or who == NARROW else {}))

    return ask


def _methods(route: str, who: str) -> tuple[str, ...]:
    """Pages and the admin know two methods; that the others do no more is tried by who may least."""
    return METHODS if route.startswith("api/") or who == "nobody" else METHODS[:2]


def _let_in(ask: Asks, who: str) -> Iterator[tuple[str, str]]:
    for route in routes():
        for method in _methods(route, who):
            response = ask(method, route)
            assert response.status_code < 500 or response.status_code == 503, (method, route, response.status_code)
            if _is_in(response, route):
                yield method, route


def test_every_address_is_in_the_table() -> None:
    assert {address for _method, address in read_table()} == set(routes())


def _write_table(request: pytest.FixtureRequest, things: Things) -> None:
    found: dict[tuple[str, str], list[str]] = {("GET", route): [] for route in routes()}
    for who in (*PEOPLE, NARROW):
        for pair in _let_in(_asker(request, who, things), who):
            found.setdefault(pair, []).append(who)
    order = {route: number for number, route in enumerate(sorted(routes()))}
    lines = [
        f"{method:7}/{route} {' '.join(who)}".rstrip()
        for (method, route), who in sorted(
            found.items(), key=lambda each: (order[each[0][1]], METHODS.index(each[0][0]))
        )
    ]
    TABLE.write_text("# Who is let in. Written by test_matrix.py, read by people.\n" + "\n".join(lines) + "\n")


@pytest.mark.django_db
def test_the_table_names_methods_and_people_that_there_are(request: pytest.FixtureRequest, things: Things) -> None:
    if "MUTIRAO_WRITE_MATRIX" in os.environ:
        _write_table(request, things)
    table = read_table()
    assert {method for method, _address in table} == set(METHODS)
    assert frozenset().union(*table.values()) == {*PEOPLE, NARROW}


@pytest.mark.parametrize("who", [*PEOPLE, NARROW])
@pytest.mark.django_db
def test_people_are_let_in_where_the_table_says_so_and_nowhere_else(
    request: pytest.FixtureRequest, things: Things, who: str
) -> None:
    assert Permission.objects.exists()
    wanted = {pair for pair, allowed in read_table().items() if who in allowed}
    found = set(_let_in(_asker(request, who, things), who))
    assert sorted(found - wanted) == []
    assert sorted(wanted - found) == []


@pytest.mark.parametrize("credential", FORGED)
@pytest.mark.django_db
def test_a_credential_that_opens_nothing_is_worth_no_more_than_none(
    request: pytest.FixtureRequest, admin: User, things: Things, credential: str
) -> None:
    text = FORGED[credential](admin)
    client = Client(raise_request_exception=False)
    public = {pair for pair, allowed in read_table().items() if "nobody" in allowed}
    found = set()
    for route in routes():
        # Pages do not look at the header; that they do not is seen by one method.
        for method in METHODS if route.startswith("api/") else METHODS[:1]:
            response = _ask(client, method, route, things, Authorization=f"Bearer {text}")
            if _is_in(response, route):
                found.add((method, route))
            elif route.startswith("api/") and method == "GET":
                assert response.status_code in (401, 405), (route, response.status_code)
    assert sorted(found - public) == []
