"""Roles that ship, and who may make, change and give them."""

from __future__ import annotations

from io import StringIO
from typing import Any

import pytest
from django.contrib.auth.models import Permission
from django.core.management import CommandError, call_command
from guardian.models import GroupObjectPermission

from accounts.audit import SYSTEM
from accounts.exceptions import (
    InvalidRole,
    MissingRight,
    RoleTaken,
    StrongerAccount,
    UnknownPermission,
    UnknownRole,
)
from accounts.models import AuditEvent, Role, User
from accounts.people import change_person, create_person, delete_person
from accounts.resources import permissions_of
from accounts.rights import may_manage, names_of, rights_of
from accounts.roles import (
    BUILT_IN,
    built_in_permissions,
    change_role,
    create_role,
    delete_role,
    ensure_roles,
    find_roles,
    set_roles,
    sync_role,
)
from accounts.sharing import share
from agents.definitions.exceptions import UnknownAgent
from agents.definitions.models import Agent
from agents.definitions.services import get_usable_agent
from tests.api.conftest import agent as agent

pytestmark = pytest.mark.django_db

MANAGER = {"users": ["view", "change"], "roles": ["view", "change"]}


@pytest.fixture
def manager(outsider: User) -> User:
    """May change users and roles, and nothing else."""
    role = create_role(name="people manager", permissions=permissions_of(MANAGER), by=None, actor=SYSTEM)
    outsider.groups.add(role)
    return outsider


def _names(role: str) -> set[str]:
    return set(names_of(Role.objects.get(name=role).permissions.select_related("content_type")))


def test_five_roles_ship_and_an_installation_that_exists_gets_those_it_lacks() -> None:
    operator = Role.objects.create(name="operator")
    ensure_roles()
    assert set(BUILT_IN) == {"administrator", "operator", "developer", "member", "auditor"}
    assert Role.objects.filter(name__in=BUILT_IN).count() == 5
    assert not operator.permissions.exists(), "what people made of a role stays"


def test_what_ships_is_what_the_words_say() -> None:
    administrator, auditor = built_in_permissions("administrator"), built_in_permissions("auditor")
    assert {"accounts.change_role", "accounts.administer_user", "accounts.change_quota"} <= administrator
    assert all(name.partition(".")[2].startswith("view_") for name in auditor)
    assert {"accounts.view_auditevent", "accounts.view_apikey", "agents_memory.view_message"} <= auditor
    assert auditor < administrator
    assert built_in_permissions("operator") < administrator
    assert built_in_permissions("member") == {"agents_definitions.use_agent"}
    assert "agents_definitions.change_agent" in built_in_permissions("developer")
    assert not {name for name in built_in_permissions("developer") if name.startswith("accounts.")}


def test_syncing_a_role_adds_what_is_new_says_so_and_takes_nothing_away() -> None:
    ensure_roles()
    role = Role.objects.get(name="member")
    role.permissions.set(Permission.objects.filter(codename="view_span"))
    out = StringIO()
    call_command("sync_roles", "--role", "member", stdout=out)
    assert out.getvalue() == "member: agents_definitions.use_agent\n"
    assert _names("member") == {"agents_definitions.use_agent", "telemetry.view_span"}
    assert AuditEvent.objects.filter(verb="role.change", actor_name="system").count() == 1
    again = StringIO()
    call_command("sync_roles", stdout=again)
    assert again.getvalue() == "Nothing to add.\n"


def test_syncing_a_role_that_does_not_ship_is_refused() -> None:
    with pytest.raises(UnknownRole):
        sync_role(name="librarian")
    with pytest.raises(CommandError, match="librarian"):
        call_command("sync_roles", "--role", "librarian")


def test_nobody_makes_a_role_of_rights_that_they_lack(manager: User) -> None:
    with pytest.raises(MissingRight, match="decide_approval"):
        create_role(name="x", permissions=["agents_tools.decide_approval"], by=manager, actor=SYSTEM)
    made = create_role(name="x", permissions=["accounts.view_user"], by=manager, actor=SYSTEM)
    assert _names("x") == {"accounts.view_user"}
    assert AuditEvent.objects.get(verb="role.create", subject_name="x").changes["permissions"] == {
        "after": ["accounts.view_user"]
    }
    assert made.pk


def test_nobody_adds_to_their_own_role_what_they_lack(manager: User) -> None:
    role = Role.objects.get(name="people manager")
    wanted = {*_names("people manager"), "agents_tasks.view_task"}
    with pytest.raises(MissingRight):
        change_role(role=role, permissions=wanted, by=manager, actor=SYSTEM)
    assert "agents_tasks.view_task" not in rights_of(manager)


def test_nobody_takes_from_a_role_or_renames_or_deletes_one_that_is_more_than_they_are(manager: User) -> None:
    ensure_roles()
    operator = Role.objects.get(name="operator")
    for deed in (
        lambda: change_role(role=operator, permissions=(), by=manager, actor=SYSTEM),
        lambda: change_role(role=operator, name="op", by=manager, actor=SYSTEM),
        lambda: delete_role(role=operator, by=manager, actor=SYSTEM),
    ):
        with pytest.raises(MissingRight):
            deed()
    assert _names("operator") == built_in_permissions("operator")


def test_somebody_with_all_rights_of_a_role_changes_it_and_the_change_is_recorded(admin: User) -> None:
    role = Role.objects.get(name="member")
    changed = change_role(role=role, name="colleague", permissions=["accounts.view_user"], by=admin, actor=SYSTEM)
    assert changed == ["name", "permissions"]
    changes = [event.changes for event in AuditEvent.objects.filter(verb="role.change").order_by("created_at", "id")]
    assert changes[0] == {"name": {"before": "member", "after": "colleague"}}
    assert changes[1]["permissions"] == {"before": ["agents_definitions.use_agent"], "after": ["accounts.view_user"]}


@pytest.mark.parametrize("name", ["", " ", "a/b", "a\nb", "x" * 151])
def test_a_role_needs_a_name_that_fits_an_address(name: str) -> None:
    with pytest.raises(InvalidRole):
        create_role(name=name, permissions=(), by=None, actor=SYSTEM)
    assert not AuditEvent.objects.filter(verb="role.create").exists()


def test_a_name_and_a_permission_have_to_be_right() -> None:
    create_role(name="x", permissions=(), by=None, actor=SYSTEM)
    with pytest.raises(RoleTaken):
        create_role(name="x", permissions=(), by=None, actor=SYSTEM)
    with pytest.raises(UnknownPermission, match=r"no\.such"):
        create_role(name="y", permissions=["no.such"], by=None, actor=SYSTEM)
    with pytest.raises(UnknownRole, match="zzz"):
        find_roles(["x", "zzz"])
    assert Role.objects.count() == 1


def test_nobody_gives_a_person_a_role_that_is_more_than_they_have(manager: User, member: User) -> None:
    with pytest.raises(StrongerAccount):
        set_roles(user=member, roles=[], by=manager, actor=SYSTEM)
    nobody = create_person(username="new", email="new@example.org", by=manager, actor=SYSTEM)
    with pytest.raises(MissingRight):
        set_roles(user=nobody, roles=find_roles(["administrator"]), by=manager, actor=SYSTEM)
    with pytest.raises(MissingRight):
        set_roles(user=manager, roles=find_roles(["people manager", "member"]), by=manager, actor=SYSTEM)
    assert set_roles(user=nobody, roles=find_roles(["people manager"]), by=manager, actor=SYSTEM)
    assert not set_roles(user=nobody, roles=find_roles(["people manager"]), by=manager, actor=SYSTEM)
    event = AuditEvent.objects.get(verb="user.roles")
    assert event.changes == {"roles": {"before": [], "after": ["people manager"]}}


def test_a_person_with_a_role_beyond_ones_own_cannot_be_made(manager: User) -> None:
    ensure_roles()
    with pytest.raises(MissingRight):
        create_person(username="new", email="n@example.org", roles=find_roles(["auditor"]), by=manager, actor=SYSTEM)
    assert not User.objects.filter(username="new").exists()


def test_nobody_manages_those_who_may_more(manager: User, admin: User, operator: User, member: User) -> None:
    peer = create_person(
        username="peer", email="p@example.org", roles=find_roles(["people manager"]), by=None, actor=SYSTEM
    )
    assert may_manage(manager, peer)
    assert may_manage(manager, manager)
    assert not any(may_manage(manager, stronger) for stronger in (admin, operator, member))
    assert all(may_manage(admin, anybody) for anybody in (manager, operator, member, admin))
    assert not may_manage(operator, admin)


def test_a_stronger_account_stays_stronger_while_it_is_deactivated(manager: User, operator: User) -> None:
    change_person(user=operator, is_active=False, by=None, actor=SYSTEM)
    assert not may_manage(manager, operator)
    for change in ({"is_active": True}, {"email": "mine@example.org"}):
        with pytest.raises(StrongerAccount):
            change_person(user=User.objects.get(pk=operator.pk), **change, by=manager, actor=SYSTEM)
    with pytest.raises(StrongerAccount):
        delete_person(user=operator, by=manager, actor=SYSTEM)
    stored = User.objects.get(pk=operator.pk)
    assert (stored.is_active, stored.email) == (False, "")


def test_somebody_who_is_deactivated_gives_and_manages_nothing(admin: User, member: User) -> None:
    User.objects.filter(pk=admin.pk).update(is_active=False)
    admin.refresh_from_db()
    assert not may_manage(admin, member)
    with pytest.raises(MissingRight):
        create_role(name="x", permissions=["accounts.view_user"], by=admin, actor=SYSTEM)


def test_a_role_of_the_same_name_does_not_bring_back_what_was_shared_with_the_old_one(
    admin: User, outsider: User, agent: Agent
) -> None:
    role = create_role(name="guests", permissions=(), by=None, actor=SYSTEM)
    outsider.groups.add(role)
    share(thing=agent, verb="use", to=role, by=admin, actor=SYSTEM)
    assert Agent.objects.usable_by(outsider).count() == 1
    delete_role(role=role, by=admin, actor=SYSTEM)
    assert GroupObjectPermission.objects.count() == 0
    outsider.groups.add(create_role(name="guests", permissions=(), by=None, actor=SYSTEM))
    assert Agent.objects.usable_by(outsider).count() == 0


def test_a_right_that_is_taken_is_not_remembered_by_this_process(
    agent: Agent, member: User, settings: Any, django_capture_on_commit_callbacks: Any
) -> None:
    settings.AGENT_CACHE_SECONDS = 60
    get_usable_agent(slug="echo", user=member)
    with django_capture_on_commit_callbacks(execute=True):
        set_roles(user=member, roles=[], by=None, actor=SYSTEM)
    with pytest.raises(UnknownAgent):
        get_usable_agent(slug="echo", user=User.objects.get(pk=member.pk))
