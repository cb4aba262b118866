"""Why somebody may do something."""

from __future__ import annotations

import pytest
from django.contrib.auth.models import Permission

from accounts.audit import SYSTEM, Actor
from accounts.models import Role, User
from accounts.reasons import Access, access_of
from accounts.resources import cells
from accounts.roles import create_role
from accounts.sharing import share
from agents.definitions.models import Agent
from agents.definitions.services import create_agent
from agents.memory.models import Conversation

pytestmark = pytest.mark.django_db


@pytest.fixture
def agent(db: None) -> Agent:
    return create_agent(slug="echo", name="Echo", model="scripted:echo")


def _why(access: Access, cell: str) -> list[str]:
    return [source.label for reason in access.reasons if reason.cell.name == cell for source in reason.sources]


def test_every_right_is_there_with_all_its_sources(operator: User, admin: User) -> None:
    operator.groups.add(Role.objects.get(name="member"))
    operator.user_permissions.add(Permission.objects.get(codename="use_agent"))
    access = access_of(user=operator, viewer=admin)
    assert len(access.reasons) == len(cells())
    assert _why(access, "agents:use") == ["role “member”", "role “operator”", "given directly"]
    assert _why(access, "tasks:view") == ["role “operator”"]
    assert _why(access, "users:change") == []


def test_a_superuser_has_everything_because_they_are_one(admin: User) -> None:
    access = access_of(user=admin, viewer=admin)
    assert all(reason.sources[0].kind == "superuser" for reason in access.reasons)


def test_a_part_of_a_right_is_called_a_part_and_what_is_in_no_cell_is_named(outsider: User, admin: User) -> None:
    outsider.user_permissions.add(
        Permission.objects.get(codename="view_task"), Permission.objects.get(codename="view_session")
    )
    access = access_of(user=outsider, viewer=admin)
    [reason] = [reason for reason in access.reasons if reason.cell.name == "tasks:view"]
    assert (reason.is_whole, [source.is_whole for source in reason.sources]) == (False, [False])
    assert [other.permission for other in access.other] == ["sessions.view_session"]


def test_what_was_shared_says_through_whom_and_by_whom(agent: Agent, outsider: User, member: User, admin: User) -> None:
    conversation = Conversation.objects.create(owner=member, agent=agent, title="Parcels")
    guests = create_role(name="guests", permissions=(), by=None, actor=SYSTEM)
    outsider.groups.add(guests)
    share(thing=agent, verb="use", to=guests, by=None, actor=SYSTEM)
    share(thing=conversation, verb="view", to=outsider, by=member, actor=Actor(member.pk, "member"))
    access = access_of(user=outsider, viewer=admin)
    found = [(each.kind, each.name, each.verb, each.through, each.by) for each in access.shared]
    assert found == [("agents", "echo", "use", "guests", "system"), ("conversations", "Parcels", "view", "", "member")]


def test_the_name_of_what_the_viewer_may_not_see_is_left_out(agent: Agent, outsider: User, member: User) -> None:
    conversation = Conversation.objects.create(owner=member, agent=agent, title="A secret title")
    share(thing=conversation, verb="view", to=outsider, by=member, actor=SYSTEM)
    viewer = User.objects.create(username="viewer")
    viewer.user_permissions.add(Permission.objects.get(codename="view_user"))
    [shared] = access_of(user=outsider, viewer=viewer).shared
    assert (shared.kind, shared.name) == ("conversations", "")


def test_one_permission_and_one_thing_can_be_asked_for(agent: Agent, member: User, admin: User) -> None:
    access = access_of(user=member, viewer=admin, permission="agents_definitions.use_agent")
    assert [reason.cell.name for reason in access.reasons] == ["agents:use"]
    own = Conversation.objects.create(owner=member, agent=agent)
    assert "their own" in access_of(user=member, viewer=admin, thing_id=own.pk).owned
    assert access_of(user=admin, viewer=admin, thing_id=own.pk).owned == ""


def test_who_is_not_active_is_said_to_be(member: User, admin: User) -> None:
    User.objects.filter(pk=member.pk).update(is_active=False)
    access = access_of(user=User.objects.get(pk=member.pk), viewer=admin)
    assert not access.is_active
    assert _why(access, "agents:use") == ["role “member”"]
