"""Accounts over HTTP: who may see, make and change whom."""

from __future__ import annotations

import re
from typing import Any

import pytest
from django.core import mail
from django.test import Client
from rest_framework.test import APIClient
from rest_framework_simplejwt.tokens import AccessToken

from accounts import keys
from accounts.audit import SYSTEM
from accounts.issuing import issue_api_key
from accounts.models import AuditEvent, User
from accounts.resources import permissions_of
from accounts.roles import create_role, ensure_roles, find_roles
from foundation.models import new_id
from tests.conftest import Api

pytestmark = pytest.mark.django_db

USERS = "/api/v1/users"


@pytest.fixture
def manager(db: None) -> User:
    """May change users and see roles, and nothing else."""
    given = {"users": ["view", "change"], "roles": ["view"]}
    role = create_role(name="people manager", permissions=permissions_of(given), by=None, actor=SYSTEM)
    user = User.objects.create_user(username="manager", email="manager@example.org", password="manager-password-1")
    user.groups.add(role)
    return user


def _without_request_id(response: Any) -> dict[str, Any]:
    body: dict[str, Any] = response.json()
    body.pop("request_id")
    return body


def test_without_the_right_to_view_users_there_is_nobody_but_oneself(api: Api, member: User, operator: User) -> None:
    assert api(member).get(USERS).status_code == 403
    own = api(member).get(f"{USERS}/{member.pk}")
    assert (own.status_code, own.json()["username"], own.json()["roles"]) == (200, "member", ["member"])
    foreign, missing = api(member).get(f"{USERS}/{operator.pk}"), api(member).get(f"{USERS}/{new_id()}")
    assert (foreign.status_code, missing.status_code) == (404, 404)
    assert _without_request_id(foreign) == _without_request_id(missing)
    assert api(member).patch(f"{USERS}/{operator.pk}", {"is_active": False}).status_code == 404
    assert api(member).get(f"{USERS}/{operator.pk}/access").status_code == 404


def test_accounts_are_listed_searched_and_filtered_by_whoever_may_view_them(
    api: Api, manager: User, member: User, operator: User
) -> None:
    User.objects.create(username="robot", is_service=True)
    client = api(manager)
    assert [row["username"] for row in client.get(USERS).json()["results"]] == [
        "manager",
        "member",
        "operator",
        "robot",
    ]
    assert [row["username"] for row in client.get(f"{USERS}?search=oper").json()["results"]] == ["operator"]
    assert [row["username"] for row in client.get(f"{USERS}?is_service=true").json()["results"]] == ["robot"]
    assert [row["username"] for row in client.get(f"{USERS}?role=member").json()["results"]] == ["member"]
    assert client.get(f"{USERS}?ordering=password").status_code == 400
    assert "password" not in client.get(USERS).content.decode()


def test_the_list_costs_the_same_for_one_and_for_many(
    api: Api, manager: User, django_assert_max_num_queries: Any
) -> None:
    role = manager.groups.get()
    for number in range(20):
        User.objects.create(username=f"user-{number}").groups.add(role)
    client = api(User.objects.get(pk=manager.pk))
    with django_assert_max_num_queries(5):
        assert len(client.get(USERS).json()["results"]) == 21


def test_a_person_is_made_without_a_password_and_chooses_one_by_mail(api: Api, manager: User) -> None:
    made = api(manager).post(USERS, {"username": "ana", "email": "Ana@Example.org", "roles": ["people manager"]})
    assert made.status_code == 201, made.json()
    ana = User.objects.get(username="ana")
    assert made["Location"] == f"{USERS}/{ana.pk}"
    assert (ana.email, ana.has_usable_password(), ana.is_staff, ana.is_superuser) == (
        "ana@example.org", False, False, False,
    )  # fmt: skip
    [message] = mail.outbox
    assert message.to == ["ana@example.org"]
    link = re.search(r"https?://\S+", str(message.body))
    assert link is not None
    shown = Client().get(link.group(0).split("testserver")[1], follow=True)
    assert shown.status_code == 200
    assert b"password1" in shown.content
    assert AuditEvent.objects.filter(verb="user.create", subject_name="ana", actor_name="manager").count() == 1


def test_a_service_account_has_neither_mail_nor_password(api: Api, manager: User) -> None:
    made = api(manager).post(USERS, {"username": "robot", "is_service": True})
    assert (made.status_code, made.json()["is_service"]) == (201, True)
    assert not User.objects.get(username="robot").has_usable_password()
    assert mail.outbox == []


@pytest.mark.parametrize(
    ("body", "field"),
    [
        ({"username": "ana"}, "email"),
        ({"username": "ana b", "email": "a@example.org"}, "username"),
        ({"username": "manager", "email": "a@example.org"}, "username"),
        ({"username": "ana", "email": "manager@example.org"}, "email"),
        ({"username": "ana", "email": "a@example.org", "is_superuser": True}, "is_superuser"),
        ({"username": "ana", "email": "a@example.org", "is_staff": True}, "is_staff"),
        ({"username": "ana", "email": "a@example.org", "password": "x"}, "password"),
        ({"username": "ana", "email": "a@example.org", "permissions": ["accounts.view_user"]}, "permissions"),
        ({"username": "ana", "email": "a@example.org", "groups": [1]}, "groups"),
        ({"username": "ana", "email": "a@example.org", "id": "1"}, "id"),
    ],
)
def test_what_makes_no_account_is_refused_by_its_field(
    api: Api, manager: User, body: dict[str, Any], field: str
) -> None:
    refused = api(manager).post(USERS, body)
    assert refused.status_code == 400
    assert field in refused.json()["errors"] or refused.json()["errors"]["__all__"]
    assert not User.objects.filter(username="ana").exists()
    assert mail.outbox == []


def test_nobody_gives_a_role_that_is_more_than_they_have(api: Api, manager: User) -> None:
    ensure_roles()
    client = api(manager)
    refused = client.post(USERS, {"username": "ana", "email": "a@example.org", "roles": ["administrator"]})
    assert (refused.status_code, refused.json()["type"]) == (403, "urn:mutirao:missing-right")
    for roles in (["administrator"], ["people manager", "member"]):
        assert client.patch(f"{USERS}/{manager.pk}", {"roles": roles}).status_code == 403
    assert client.patch(f"{USERS}/{manager.pk}", {"roles": ["no such role"]}).status_code == 400
    assert not User.objects.filter(username="ana").exists()
    assert [role.name for role in manager.groups.all()] == ["people manager"]


@pytest.mark.parametrize(
    "body",
    [
        {"is_superuser": True},
        {"is_staff": True},
        {"is_service": True},
        {"permissions": ["accounts.view_user"]},
        {"user_permissions": [1]},
        {"groups": [1]},
        {"password": "chosen-by-me-1"},
        {"erased_at": None},
    ],
)
def test_no_body_can_set_what_is_not_offered(api: Api, manager: User, body: dict[str, Any]) -> None:
    before = User.objects.filter(pk=manager.pk).values().get()
    assert api(manager).patch(f"{USERS}/{manager.pk}", body).status_code == 400
    assert User.objects.filter(pk=manager.pk).values().get() == before
    assert api(manager).patch("/api/v1/me", body).status_code == 405
    assert set(before) == set(User.objects.filter(pk=manager.pk).values().get())


def test_nobody_changes_those_who_may_more(api: Api, manager: User, admin: User, operator: User) -> None:
    bodies: list[dict[str, Any]] = [
        {"email": "mine@example.org"},
        {"is_active": False},
        {"username": "x"},
        {"roles": []},
    ]
    for stronger in (admin, operator):
        for body in bodies:
            refused = api(manager).patch(f"{USERS}/{stronger.pk}", body)
            assert (refused.status_code, refused.json()["type"]) == (403, "urn:mutirao:stronger-account"), body
        stored = User.objects.get(pk=stronger.pk)
        assert (stored.email, stored.is_active, stored.username) == ("", True, stronger.username)


def test_whoever_may_only_view_users_changes_none(api: Api, manager: User) -> None:
    viewer = User.objects.create(username="viewer")
    viewer.groups.add(create_role(name="viewer", permissions=["accounts.view_user"], by=None, actor=SYSTEM))
    assert api(viewer).get(f"{USERS}/{manager.pk}").status_code == 200
    assert api(viewer).patch(f"{USERS}/{viewer.pk}", {"username": "x"}).status_code == 403
    assert api(viewer).post(USERS, {"username": "ana", "email": "a@example.org"}).status_code == 403


def test_name_mail_and_roles_are_changed_together_or_not_at_all(api: Api, manager: User, admin: User) -> None:
    client = api(admin)
    changed = client.patch(
        f"{USERS}/{manager.pk}", {"username": "boss", "email": "Boss@example.org", "roles": ["member"]}
    )
    assert changed.status_code == 200, changed.json()
    assert (changed.json()["username"], changed.json()["email"], changed.json()["roles"]) == (
        "boss", "boss@example.org", ["member"],
    )  # fmt: skip
    refused = client.patch(f"{USERS}/{admin.pk}", {"username": "root", "is_active": False})
    assert (refused.status_code, refused.json()["type"]) == (409, "urn:mutirao:last-administrator")
    assert User.objects.get(pk=admin.pk).username == "admin"


def test_who_is_deactivated_is_refused_on_the_next_request_by_every_door(
    api: Api, admin: User, member: User, django_capture_on_commit_callbacks: Any
) -> None:
    key = issue_api_key(owner=member, name="laptop", actor=SYSTEM).key
    doors: list[dict[str, Any]] = [
        {"HTTP_AUTHORIZATION": f"Bearer {key}"},
        {"HTTP_X_API_KEY": key},
        {"HTTP_AUTHORIZATION": f"Bearer {AccessToken.for_user(member)}"},
    ]
    page = Client()
    page.force_login(member)
    assert [APIClient().get("/api/v1/me", **door).status_code for door in doors[:2]] == [200, 200]
    assert page.get("/tasks/").status_code == 200
    with django_capture_on_commit_callbacks(execute=True):
        assert api(admin).patch(f"{USERS}/{member.pk}", {"is_active": False}).status_code == 200
    assert [APIClient().get("/api/v1/me", **door).status_code for door in doors] == [401, 401, 401]
    assert page.get("/tasks/").status_code == 302
    keys.forget()


def test_why_somebody_may_something_is_told_to_whoever_may_see_them(api: Api, manager: User, member: User) -> None:
    told = api(manager).get(f"{USERS}/{member.pk}/access?permission=agents_definitions.use_agent").json()
    assert told["rights"] == [
        {
            "resource": "agents",
            "verb": "use",
            "sources": [{"kind": "role", "role": "member", "is_whole": True}],
        }
    ]
    assert "conversations" in told["own"]
    assert api(member).get(f"{USERS}/{member.pk}/access").status_code == 200
    assert api(manager).get(f"{USERS}/{member.pk}/access?object=x").status_code == 400


def test_a_key_needs_the_scope(manager: User) -> None:
    narrow = issue_api_key(owner=manager, name="narrow", scopes=["users:read"], actor=SYSTEM).key
    client = APIClient()
    client.credentials(HTTP_AUTHORIZATION=f"Bearer {narrow}")
    assert client.get(USERS).status_code == 200
    assert client.patch(f"{USERS}/{manager.pk}", {"username": "x"}).status_code == 403
    assert client.get("/api/v1/roles").status_code == 403
    keys.forget()


def test_roles_that_are_given_exist(manager: User) -> None:
    assert [role.name for role in find_roles(["people manager"])] == ["people manager"]


def test_attempts_to_get_beyond_ones_rights_are_on_the_record(api: Api, manager: User, admin: User) -> None:
    api(manager).patch(f"{USERS}/{admin.pk}", {"is_active": False})
    api(manager).patch(f"{USERS}/{manager.pk}", {"roles": ["administrator"]})
    events = AuditEvent.objects.filter(verb="rights.exceed", outcome="denied", actor_name="manager")
    assert sorted(event.changes["refusal"] for event in events) == ["MissingRight", "StrongerAccount"]


@pytest.mark.parametrize("field", ["is_superuser", "is_staff", "groups", "roles", "user_permissions", "is_service"])
def test_nobody_gives_themselves_anything_on_their_own_page(member: User, field: str) -> None:
    before = User.objects.filter(pk=member.pk).values("is_superuser", "is_staff", "is_service").get()
    page = Client()
    page.force_login(member)
    sent = {"email": "new@example.org", "first_name": "M", field: "1"}
    assert page.post("/settings/", sent).status_code == 302
    assert User.objects.filter(pk=member.pk).values("is_superuser", "is_staff", "is_service").get() == before
    assert [role.name for role in member.groups.all()] == ["member"]
    assert not member.user_permissions.exists()
