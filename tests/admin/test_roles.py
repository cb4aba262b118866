"""Roles, people and sharing in the admin: the matrix, and that nobody gets beyond their own rights by it."""

from __future__ import annotations

import re
from typing import Any

import pytest
from django.contrib.auth.models import Permission
from django.db import connection
from django.test import Client
from django.test.utils import CaptureQueriesContext
from django.urls import reverse
from django.utils.timezone import now
from guardian.models import UserObjectPermission
from guardian.shortcuts import assign_perm

from accounts.audit import SYSTEM
from accounts.models import AuditEvent, Role, User
from accounts.resources import cells, permissions_of
from accounts.rights import names_of
from accounts.roles import built_in_permissions, create_role, ensure_roles, permissions_named
from accounts.sharing import share
from agents.definitions.models import Agent
from agents.definitions.services import create_agent
from agents.memory.models import Conversation

pytestmark = pytest.mark.django_db

PASSWORD = {"password1": "another-password-1", "password2": "another-password-1", "usable_password": "true"}


@pytest.fixture
def manager(db: None) -> User:
    """Staff; may change users and roles, and nothing else."""
    ensure_roles()
    given = {"users": ["view", "change"], "roles": ["view", "change"]}
    user = User.objects.create_user(username="manager", password="manager-password-1", is_staff=True)
    user.groups.add(create_role(name="people manager", permissions=permissions_of(given), by=None, actor=SYSTEM))
    return user


def _signed_in(user: User) -> Client:
    client = Client()
    client.force_login(user)
    return client


def _names(role: str) -> set[str]:
    return set(names_of(Role.objects.get(name=role).permissions.select_related("content_type")))


def _change(model: str, pk: Any, page: str = "change") -> str:
    return reverse(f"admin:accounts_{model}_{page}", args=[pk])


def _boxes(html: str) -> dict[str, str]:
    """Name → the rest of the tag, of every box of the matrix."""
    return dict(re.findall(r'<input type="checkbox" name="((?:right|keep)-[^"]+)"([^>]*)>', html))


def test_every_right_has_a_box_with_a_name_that_can_be_heard(admin: User) -> None:
    role = Role.objects.get(name="member")
    html = _signed_in(admin).get(_change("role", role.pk)).content.decode()
    boxes = _boxes(html)
    assert set(boxes) == {f"right-{cell.name}" for cell in cells()}
    assert [name for name, rest in boxes.items() if "checked" in rest] == ["right-agents:use"]
    assert not any("disabled" in rest for rest in boxes.values())
    assert html.count('<label class="mu-box') == len(boxes)


def test_saving_makes_the_role_what_the_boxes_say(admin: User) -> None:
    client, role = _signed_in(admin), Role.objects.get(name="member")
    sent = {"name": "colleague", "right-agents:use": "on", "right-tasks:view": "on"}
    assert client.post(_change("role", role.pk), sent).status_code == 302
    assert _names("colleague") == permissions_of({"agents": ["use"], "tasks": ["view"]})
    changes = [event.changes for event in AuditEvent.objects.filter(verb="role.change", actor_name="admin")]
    assert {"name", "permissions"} == {key for change in changes for key in change}
    assert client.post(reverse("admin:accounts_role_add"), {"name": "new", "right-audit:view": "on"}).status_code == 302
    assert _names("new") == permissions_of({"audit": ["view"]})
    assert AuditEvent.objects.filter(verb="role.create", actor_name="admin", subject_name="new").count() == 1


def test_a_part_of_a_right_is_shown_and_kept_until_somebody_says_otherwise(admin: User) -> None:
    role = create_role(name="odd", permissions=["accounts.add_user", "sessions.view_session"], by=None, actor=SYSTEM)
    client, address = _signed_in(admin), _change("role", role.pk)
    html = client.get(address).content.decode()
    assert "partly: 1 of 2" in html
    assert "<code>sessions.view_session</code>" in html
    assert "checked" in _boxes(html)["keep-users:change"]
    client.post(address, {"name": "odd", "keep-users:change": "on"})
    assert _names("odd") == {"accounts.add_user", "sessions.view_session"}
    client.post(address, {"name": "odd"})
    assert _names("odd") == {"sessions.view_session"}


def test_boxes_of_rights_that_one_lacks_are_locked_and_a_forged_one_changes_nothing(manager: User) -> None:
    client, role = _signed_in(manager), Role.objects.get(name="people manager")
    boxes = _boxes(client.get(_change("role", role.pk)).content.decode())
    free = {name for name, rest in boxes.items() if "disabled" not in rest}
    assert free == {"right-users:view", "right-users:change", "right-roles:view", "right-roles:change"}
    sent = dict.fromkeys(boxes, "on") | {"name": "people manager"}
    assert client.post(_change("role", role.pk), sent).status_code == 302
    assert _names("people manager") == permissions_of({"users": ["view", "change"], "roles": ["view", "change"]})


def test_a_stronger_role_keeps_what_it_has_and_is_called(manager: User) -> None:
    client, role = _signed_in(manager), Role.objects.get(name="administrator")
    client.post(_change("role", role.pk), {"name": "mine"})
    assert Role.objects.filter(name="administrator").exists()
    assert _names("administrator") == built_in_permissions("administrator")
    assert client.post(_change("role", role.pk, "delete"), {"post": "yes"}).status_code == 403
    assert Role.objects.filter(name="administrator").exists()


def test_an_auditor_sees_the_matrix_and_changes_nothing(manager: User) -> None:
    auditor = User.objects.create(username="auditor", is_staff=True)
    auditor.groups.set(Role.objects.filter(name="auditor"))
    client, role = _signed_in(auditor), Role.objects.get(name="member")
    boxes = _boxes(client.get(_change("role", role.pk)).content.decode())
    assert len(boxes) == len(cells())
    assert all("disabled" in rest for rest in boxes.values())
    assert client.post(_change("role", role.pk), {"name": "x"}).status_code == 403
    assert client.get(_change("user", manager.pk)).status_code == 200
    assert client.post(_change("user", manager.pk), {"username": "x"}).status_code == 403


@pytest.mark.parametrize("name", ["a/b", "operator"])
def test_a_name_that_does_not_fit_is_said_at_the_field(admin: User, name: str) -> None:
    role = Role.objects.get(name="member")
    answer = _signed_in(admin).post(_change("role", role.pk), {"name": name})
    assert answer.status_code == 200
    assert b"errornote" in answer.content or b"error" in answer.content
    assert Role.objects.filter(name="member").exists()


def test_roles_are_given_with_what_they_give_beside_them(admin: User, member: User) -> None:
    client = _signed_in(admin)
    html = client.get(_change("user", member.pk)).content.decode()
    assert "member — Agents: use" in html
    operator = Role.objects.get(name="operator")
    sent = {"username": "member", "is_active": "on", "groups": [operator.pk]}
    assert client.post(_change("user", member.pk), sent).status_code == 302
    assert [role.name for role in member.groups.all()] == ["operator"]
    event = AuditEvent.objects.get(verb="user.roles", actor_name="admin")
    assert event.changes == {"roles": {"before": ["member"], "after": ["operator"]}}


def test_who_is_no_superuser_is_offered_no_raw_permissions_and_can_forge_none(manager: User) -> None:
    peer = User.objects.create(username="peer")
    client = _signed_in(manager)
    html = client.get(_change("user", peer.pk)).content.decode()
    assert "user_permissions" not in html
    assert "is_superuser" not in html
    sent = {
        "username": "peer", "is_active": "on", "is_superuser": "on",
        "user_permissions": [*Permission.objects.values_list("pk", flat=True)[:5]],
    }  # fmt: skip
    assert client.post(_change("user", peer.pk), sent).status_code == 302
    peer.refresh_from_db()
    assert (peer.is_superuser, peer.user_permissions.count()) == (False, 0)


def test_a_role_by_its_id_is_not_taken_by_whoever_may_not_give_it(manager: User) -> None:
    client, administrator = _signed_in(manager), Role.objects.get(name="administrator")
    own = Role.objects.get(name="people manager")
    sent = {"username": "manager", "is_active": "on", "is_staff": "on", "groups": [own.pk, administrator.pk]}
    answer = client.post(_change("user", manager.pk), sent)
    assert (answer.status_code, [role.name for role in manager.groups.all()]) == (200, ["people manager"])
    assert "you do not have it yourself" in answer.content.decode()


def test_a_role_that_one_may_not_take_stays_though_its_box_is_not_sent(manager: User) -> None:
    """The boxes of locked roles are not sent by a browser."""
    peer = User.objects.create(username="peer")
    create_role(name="nothing", permissions=(), by=None, actor=SYSTEM)
    stronger = Role.objects.get(name="member")
    peer.groups.add(stronger)
    client = _signed_in(manager)
    assert client.post(_change("user", peer.pk), {"username": "x", "is_active": "on"}).status_code == 403
    assert [role.name for role in peer.groups.all()] == ["member"]


def test_nobody_sets_the_password_or_the_mail_of_a_stronger_account(manager: User, admin: User, operator: User) -> None:
    client = _signed_in(manager)
    for stronger in (admin, operator):
        before = User.objects.get(pk=stronger.pk).password
        password = reverse("admin:auth_user_password_change", args=[stronger.pk])
        assert client.get(password).status_code == 403
        assert client.post(password, PASSWORD).status_code == 403
        sent = {"username": stronger.username, "email": "mine@example.org", "is_active": "on"}
        assert client.post(_change("user", stronger.pk), sent).status_code == 403
        assert client.post(_change("user", stronger.pk, "delete"), {"post": "yes"}).status_code == 403
        stored = User.objects.get(pk=stronger.pk)
        assert (stored.password, stored.email) == (before, "")


def test_the_password_of_an_equal_can_be_set(manager: User) -> None:
    peer = User.objects.create_user(username="peer", password="peer-password-1")
    password = reverse("admin:auth_user_password_change", args=[peer.pk])
    assert _signed_in(manager).post(password, PASSWORD).status_code == 302
    assert User.objects.get(pk=peer.pk).check_password("another-password-1")


def test_why_somebody_may_something_is_one_click_away(admin: User, operator: User) -> None:
    client = _signed_in(admin)
    address = f"/admin/accounts/user/{operator.pk}/access/"
    assert address in client.get(_change("user", operator.pk)).content.decode()
    html = client.get(address).content.decode()
    assert "role “operator”" in html
    assert "nothing gives it" in html
    assert _signed_in(operator).get(address).status_code == 403


def test_programs_are_told_from_people_in_the_list(admin: User) -> None:
    User.objects.create(username="robot", is_service=True)
    html = _signed_in(admin).get(reverse("admin:accounts_user_changelist")).content.decode()
    assert "service account" in html
    assert _signed_in(admin).get(reverse("admin:accounts_user_changelist") + "?is_service__exact=1").status_code == 200


def test_users_are_suggested_only_to_whoever_may_view_them(operator: User, admin: User, member: User) -> None:
    asked = {"app_label": "agents_tasks", "model_name": "concurrencylimit", "field_name": "owner", "term": ""}
    address = reverse("admin:autocomplete")
    assert _signed_in(operator).get(address, asked).status_code == 403
    names = [row["text"] for row in _signed_in(admin).get(address, asked).json()["results"]]
    assert "member" in names


@pytest.fixture
def agent(db: None) -> Agent:
    return create_agent(slug="echo", name="Echo", model="scripted:echo")


def test_an_agent_is_shared_in_the_admin(admin: User, outsider: User, agent: Agent) -> None:
    client, address = _signed_in(admin), reverse("admin:agents_definitions_agent_sharing", args=[agent.pk])
    assert client.post(address, {"kind": "user", "name": "outsider", "verb": "use"}).status_code == 302
    grant = UserObjectPermission.objects.get()
    assert "outsider" in client.get(address).content.decode()
    refused = client.post(address, {"kind": "user", "name": "nobody", "verb": "use"})
    assert "no such person or role" in refused.content.decode()
    client.post(address, {"take": f"user-{grant.pk}"})
    assert not UserObjectPermission.objects.exists()


def test_who_only_sees_an_agent_sees_its_grants_and_gives_none(operator: User, agent: Agent) -> None:
    client, address = _signed_in(operator), reverse("admin:agents_definitions_agent_sharing", args=[agent.pk])
    assert client.get(address).status_code == 200
    assert client.post(address, {"kind": "user", "name": "operator", "verb": "use"}).status_code == 403
    assert not UserObjectPermission.objects.exists()


def test_whoever_may_change_one_agent_sees_that_one_alone(outsider: User, agent: Agent) -> None:
    other = create_agent(slug="other", model="scripted:echo")
    User.objects.filter(pk=outsider.pk).update(is_staff=True)
    changelist = reverse("admin:agents_definitions_agent_changelist")
    assert _signed_in(outsider).get(changelist).status_code == 403
    assign_perm("agents_definitions.change_agent", outsider, agent)
    client = _signed_in(outsider)
    html = client.get(changelist).content.decode()
    assert ("echo" in html, "other" in html) == (True, False)
    page = "admin:agents_definitions_agent_change"
    assert client.get(reverse(page, args=[agent.pk])).status_code == 200
    # As for a row that is not there: back to the index.
    assert client.get(reverse(page, args=[other.pk])).status_code == 302
    assert client.get(reverse("admin:agents_definitions_agent_sharing", args=[other.pk])).status_code == 404


def test_a_conversation_is_not_shared_by_whoever_may_view_all(operator: User, member: User, agent: Agent) -> None:
    conversation = Conversation.objects.create(owner=member, agent=agent)
    share(thing=conversation, verb="view", to=operator, by=member, actor=SYSTEM)
    address = reverse("admin:agents_memory_conversation_sharing", args=[conversation.pk])
    client = _signed_in(operator)
    assert "operator" in client.get(address).content.decode()
    assert client.post(address, {"kind": "user", "name": "operator", "verb": "view"}).status_code == 403


def test_a_service_account_becomes_no_staff_and_gets_no_password(admin: User) -> None:
    robot = User.objects.create(username="robot", is_service=True)
    client = _signed_in(admin)
    for flag in ("is_staff", "is_superuser"):
        answer = client.post(_change("user", robot.pk), {"username": "robot", "is_active": "on", flag: "on"})
        # They have a page of their own.
        assert answer.status_code == 403
    assert client.post(reverse("admin:auth_user_password_change", args=[robot.pk]), PASSWORD).status_code == 403
    robot.refresh_from_db()
    assert (robot.is_staff, robot.is_superuser, robot.password) == (False, False, "")


def test_an_erased_person_is_not_activated(admin: User) -> None:
    gone = User.objects.create(username="gone", is_active=False, erased_at=now())
    answer = _signed_in(admin).post(_change("user", gone.pk), {"username": "gone", "is_active": "on"})
    assert (answer.status_code, "has been erased" in answer.content.decode()) == (200, True)


def test_an_attempt_to_get_beyond_ones_rights_is_on_the_record() -> None:
    root = User.objects.create_superuser(username="root")
    _signed_in(root).post(_change("user", root.pk), {"username": "root", "is_staff": "on"})
    event = AuditEvent.objects.get(verb="rights.exceed")
    assert (event.outcome, event.actor_name, event.changes["refusal"]) == ("denied", "root", "LastAdministrator")


@pytest.mark.parametrize("page", ["user/{pk}/change/", "serviceaccount/add/"])
def test_no_role_asks_for_itself_what_somebody_may(manager: User, page: str) -> None:
    """The queries of a page are as many with ten roles as with sixty."""
    peer, client = User.objects.create(username="peer"), _signed_in(manager)
    address = f"/admin/accounts/{page.format(pk=peer.pk)}"

    def queries() -> int:
        with CaptureQueriesContext(connection) as asked:
            assert client.get(address).status_code == 200
        return len(asked)

    queries()
    before = queries()
    for number in range(50):
        create_role(name=f"role {number}", permissions=["agents_tasks.view_task"], by=None, actor=SYSTEM)
    assert queries() == before


@pytest.mark.parametrize("page", ["data", "download"])
def test_nobody_exports_or_erases_a_stronger_account(manager: User, operator: User, admin: User, page: str) -> None:
    manager.user_permissions.add(*permissions_named(["accounts.administer_user"]))
    client, peer = _signed_in(manager), User.objects.create(username="peer")
    for stronger in (operator, admin):
        address = _change("user", stronger.pk, page)
        answers = [client.get(address), client.post(address, {"name": stronger.username})]
        assert [answer.status_code for answer in answers] == [403, 403]
        assert User.objects.filter(username=stronger.username, is_active=True).exists()
        assert _change("user", stronger.pk, "data") not in client.get(_change("user", stronger.pk)).content.decode()
    assert not AuditEvent.objects.filter(verb__startswith="privacy.").exists()
    # The control: of an equal they do.
    answer = client.post(_change("user", peer.pk, page), {"name": "peer"})
    assert answer.status_code == (302 if page == "data" else 200)
    assert AuditEvent.objects.filter(verb__startswith="privacy.", subject_id=peer.pk).exists()
