"""Roles over HTTP, in the words of the matrix."""

from __future__ import annotations

from typing import Any

import pytest

from accounts.audit import SYSTEM
from accounts.models import Role, User
from accounts.resources import find_cell, permissions_of
from accounts.rights import names_of
from accounts.roles import create_role
from tests.conftest import Api

pytestmark = pytest.mark.django_db

ROLES = "/api/v1/roles"


@pytest.fixture
def manager(outsider: User) -> User:
    """May change roles and view users."""
    given = {"users": ["view"], "roles": ["view", "change"]}
    outsider.groups.add(create_role(name="keeper", permissions=permissions_of(given), by=None, actor=SYSTEM))
    return outsider


def _names(role: str) -> set[str]:
    return set(names_of(Role.objects.get(name=role).permissions.select_related("content_type")))


def test_roles_are_for_whoever_may_view_them(api: Api, member: User, operator: User) -> None:
    for somebody in (member, operator):
        assert api(somebody).get(ROLES).status_code == 403
        assert api(somebody).get(f"{ROLES}/administrator").status_code == 403
        assert api(somebody).get(f"{ROLES}/nothing").status_code == 403, "also of one that there is not"


def test_a_role_is_made_read_changed_and_deleted(api: Api, admin: User) -> None:
    client = api(admin)
    made = client.post(ROLES, {"name": "night watch", "permissions": {"tasks": ["view", "change"]}})
    assert made.status_code == 201, made.json()
    assert made["Location"] == f"{ROLES}/night%20watch"
    assert made.json() == {
        "name": "night watch", "permissions": {"tasks": ["view", "change"]}, "partly": {}, "other": [], "members": 0,
    }  # fmt: skip
    changed = client.patch(f"{ROLES}/night%20watch", {"name": "watch", "permissions": {"audit": ["view"]}})
    assert (changed.status_code, changed.json()["permissions"]) == (200, {"audit": ["view"]})
    assert _names("watch") == set(find_cell("audit", "view").permissions)
    assert client.delete(f"{ROLES}/watch").status_code == 204
    assert client.get(f"{ROLES}/watch").status_code == 404


def test_what_is_in_no_cell_is_shown_and_stays(api: Api, admin: User) -> None:
    create_role(name="odd", permissions=["sessions.view_session", "accounts.add_user"], by=None, actor=SYSTEM)
    shown = api(admin).get(f"{ROLES}/odd").json()
    assert (shown["permissions"], shown["partly"], shown["other"]) == (
        {}, {"users": ["change"]}, ["sessions.view_session"],
    )  # fmt: skip
    api(admin).patch(f"{ROLES}/odd", {"permissions": {"roles": ["view"]}})
    assert _names("odd") == {"sessions.view_session", "accounts.view_role"}


@pytest.mark.parametrize(
    "body",
    [
        {"permissions": {"agents": ["view"]}},
        {"name": "a/b"},
        {"name": ""},
        {"name": "x", "permissions": {"agents": ["approve"]}},
        {"name": "x", "permissions": {"dragons": ["view"]}},
        {"name": "x", "permissions": ["agents_definitions.use_agent"]},
        {"name": "x", "members": 3},
        {"name": "x", "is_superuser": True},
    ],
)
def test_what_makes_no_role_is_refused(api: Api, admin: User, body: dict[str, Any]) -> None:
    before = Role.objects.count()
    assert api(admin).post(ROLES, body).status_code == 400
    assert Role.objects.count() == before


def test_a_name_is_taken_once(api: Api, admin: User) -> None:
    assert api(admin).post(ROLES, {"name": "member"}).status_code == 409
    assert api(admin).patch(f"{ROLES}/member", {"name": "operator"}).status_code == 409


def test_nobody_makes_or_changes_a_role_beyond_their_own_rights(api: Api, manager: User, member: User) -> None:
    client = api(manager)
    own = {"users": ["view"], "roles": ["view", "change"]}
    more = own | {"tasks": ["view"]}
    for refused in (
        client.post(ROLES, {"name": "x", "permissions": {"tasks": ["view"]}}),
        client.patch(f"{ROLES}/keeper", {"permissions": more}),
        client.patch(f"{ROLES}/administrator", {"permissions": {}}),
        client.patch(f"{ROLES}/administrator", {"name": "x"}),
        client.patch(f"{ROLES}/member", {"permissions": own}),
        client.delete(f"{ROLES}/member"),
    ):
        assert (refused.status_code, refused.json()["type"]) == (403, "urn:mutirao:missing-right")
    assert _names("member") == {"agents_definitions.use_agent"}
    assert client.post(ROLES, {"name": "x", "permissions": {"users": ["view"]}}).status_code == 201


def test_the_role_of_the_last_administrators_stays(api: Api) -> None:
    create_role(name="root", permissions=permissions_of({"users": ["view", "change"], "roles": ["view", "change"]}),
                by=None, actor=SYSTEM)  # fmt: skip
    only = User.objects.create(username="only")
    only.groups.set(Role.objects.all())
    for refused in (api(only).delete(f"{ROLES}/root"), api(only).patch(f"{ROLES}/root", {"permissions": {}})):
        assert (refused.status_code, refused.json()["type"]) == (409, "urn:mutirao:last-administrator")
    assert User.objects.administrators().count() == 1


@pytest.mark.parametrize("address", [f"{ROLES}/%00", "/api/v1/agents/%00", "/api/v1/agents/%00/grants"])
def test_a_name_with_a_nul_in_it_is_nobodys(api: Api, admin: User, address: str) -> None:
    """PostgreSQL refuses the query, which was a 500."""
    assert api(admin).get(address).status_code == 404
