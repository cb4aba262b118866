"""Single things that are shared: with whom, by whom, and that nothing of it is left behind."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
from django.contrib.auth.models import Permission
from guardian.models import GroupObjectPermission, UserObjectPermission
from guardian.shortcuts import assign_perm

from accounts.audit import SYSTEM
from accounts.exceptions import NotYoursToShare, UnknownCell, UnknownReceiver
from accounts.models import AuditEvent, Role, User
from accounts.roles import create_role
from accounts.sharing import find_receiver, granted_ids, grants_of, share, unshare, verbs_to_share
from agents.definitions import cache
from agents.definitions.exceptions import UnknownAgent
from agents.definitions.models import Agent
from agents.definitions.services import create_agent, get_usable_agent
from agents.memory.exceptions import UnknownConversation
from agents.memory.models import Conversation
from agents.memory.services import delete_conversation, post_message, rename_conversation

pytestmark = pytest.mark.django_db

VIEW = "agents_memory.view_conversation"


@pytest.fixture
def agent(db: None) -> Iterator[Agent]:
    cache.forget()
    yield create_agent(slug="echo", name="Echo", model="scripted:echo")
    cache.forget()


@pytest.fixture
def conversation(member: User, agent: Agent) -> Conversation:
    return Conversation.objects.create(owner=member, agent=agent, title="Parcels")


@pytest.fixture
def developer(db: None) -> User:
    user = User.objects.create(username="developer")
    role = create_role(
        name="maker", permissions=["agents_definitions.change_agent", "agents_definitions.use_agent"], by=None,
        actor=SYSTEM,
    )  # fmt: skip
    user.groups.add(role)
    return user


def test_a_conversation_that_is_shared_is_read_and_nothing_else(
    conversation: Conversation, member: User, outsider: User
) -> None:
    assert not Conversation.objects.visible_to(outsider).exists()
    grant = share(thing=conversation, verb="view", to=outsider, by=member, actor=SYSTEM)
    assert [*Conversation.objects.visible_to(outsider)] == [conversation]
    assert [*Conversation.objects.shared_with(outsider)] == [conversation]
    assert not Conversation.objects.shared_with(member).exists(), "one's own is not shared with one"
    with pytest.raises(UnknownConversation):
        post_message(conversation=conversation, text="hi", owner=outsider)
    with pytest.raises(UnknownConversation):
        rename_conversation(conversation=conversation, title="Mine", owner=outsider)
    with pytest.raises(UnknownConversation):
        delete_conversation(conversation=conversation, owner=outsider, actor=SYSTEM)
    assert unshare(thing=conversation, grant_id=grant.id, by=member, actor=SYSTEM)
    assert not Conversation.objects.visible_to(outsider).exists()


def test_what_is_shared_with_a_role_is_shared_with_whoever_has_it(
    conversation: Conversation, member: User, outsider: User
) -> None:
    guests = create_role(name="guests", permissions=(), by=None, actor=SYSTEM)
    share(thing=conversation, verb="view", to=guests, by=member, actor=SYSTEM)
    assert not Conversation.objects.visible_to(outsider).exists()
    outsider.groups.add(guests)
    assert Conversation.objects.visible_to(outsider).count() == 1
    outsider.groups.remove(guests)
    assert not Conversation.objects.visible_to(outsider).exists()


def test_sharing_again_is_the_same_grant_and_is_recorded_once(
    conversation: Conversation, member: User, outsider: User
) -> None:
    first = share(thing=conversation, verb="view", to=outsider, by=member, actor=SYSTEM)
    assert share(thing=conversation, verb="view", to=outsider, by=member, actor=SYSTEM) == first
    event = AuditEvent.objects.get(verb="grant.give")
    assert event.subject_id == conversation.pk
    assert event.changes == {
        "verb": "view", "to": {"kind": "user", "id": str(outsider.pk)},
    }  # fmt: skip
    unshare(thing=conversation, grant_id=first.id, by=member, actor=SYSTEM)
    assert not unshare(thing=conversation, grant_id=first.id, by=member, actor=SYSTEM)
    assert AuditEvent.objects.filter(verb="grant.take").count() == 1


def test_only_its_owner_shares_a_conversation(
    conversation: Conversation, member: User, outsider: User, operator: User, admin: User
) -> None:
    share(thing=conversation, verb="view", to=outsider, by=member, actor=SYSTEM)
    for other in (outsider, operator, admin):
        assert verbs_to_share(other, conversation) == []
        with pytest.raises(NotYoursToShare):
            share(thing=conversation, verb="view", to=operator, by=other, actor=SYSTEM)
    assert UserObjectPermission.objects.count() == 1


def test_who_only_uses_an_agent_does_not_share_it(agent: Agent, member: User, outsider: User) -> None:
    for verb in ("use", "change"):
        with pytest.raises(NotYoursToShare):
            share(thing=agent, verb=verb, to=outsider, by=member, actor=SYSTEM)
    assert not UserObjectPermission.objects.exists()


def test_an_agent_is_shared_by_whoever_changes_it_and_used_by_whoever_it_is_shared_with(
    agent: Agent, developer: User, outsider: User
) -> None:
    with pytest.raises(UnknownAgent):
        get_usable_agent(slug="echo", user=outsider)
    share(thing=agent, verb="use", to=outsider, by=developer, actor=SYSTEM)
    assert get_usable_agent(slug="echo", user=outsider) == agent
    assert [*Agent.objects.usable_by(outsider)] == [agent]
    assert verbs_to_share(outsider, agent) == []


def test_nobody_shares_a_verb_that_they_lack(agent: Agent, outsider: User, member: User) -> None:
    assign_perm("agents_definitions.change_agent", outsider, agent)
    fresh = User.objects.get(pk=outsider.pk)
    with pytest.raises(NotYoursToShare):
        share(thing=agent, verb="use", to=member, by=fresh, actor=SYSTEM)
    share(thing=agent, verb="change", to=member, by=fresh, actor=SYSTEM)
    assert [grant.verb for grant in grants_of(agent)] == ["change", "change"]


def test_a_verb_that_a_thing_does_not_have_is_refused(agent: Agent, conversation: Conversation, outsider: User) -> None:
    for thing, verb in ((agent, "approve"), (conversation, "use"), (agent, "view")):
        with pytest.raises(UnknownCell):
            share(thing=thing, verb=verb, to=outsider, by=None, actor=SYSTEM)


def test_names_are_found_exactly_or_not_at_all_in_the_same_words(member: User) -> None:
    assert find_receiver(kind="user", name="member") == member
    User.objects.create(username="gone", is_active=False)
    sentences = set()
    for kind, name in (("user", "memb"), ("user", "MEMBER"), ("user", "gone"), ("role", "no role"), ("role", "%")):
        with pytest.raises(UnknownReceiver) as refused:
            find_receiver(kind=kind, name=name)
        sentences.add(str(refused.value))
    assert len(sentences) == 1


def test_a_grant_of_another_thing_is_not_taken(
    conversation: Conversation, agent: Agent, member: User, outsider: User
) -> None:
    other = Conversation.objects.create(owner=outsider, agent=agent)
    grant = share(thing=other, verb="view", to=member, by=outsider, actor=SYSTEM)
    assert not unshare(thing=conversation, grant_id=grant.id, by=member, actor=SYSTEM)
    assert not unshare(thing=conversation, grant_id="user-x", by=member, actor=SYSTEM)
    assert granted_ids(member, VIEW) == [other.pk]


def test_a_deleted_thing_takes_its_grants_with_it_so_that_a_reused_id_inherits_nothing(
    conversation: Conversation, agent: Agent, member: User, outsider: User
) -> None:
    share(thing=conversation, verb="view", to=outsider, by=member, actor=SYSTEM)
    guests = create_role(name="guests", permissions=(), by=None, actor=SYSTEM)
    share(thing=conversation, verb="view", to=guests, by=member, actor=SYSTEM)
    reused = conversation.pk
    delete_conversation(conversation=conversation, owner=member, actor=SYSTEM)
    assert (UserObjectPermission.objects.count(), GroupObjectPermission.objects.count()) == (0, 0)
    Conversation.objects.create(pk=reused, owner=member, agent=agent)
    assert not Conversation.objects.visible_to(outsider).exists()


def test_grants_go_also_when_the_thing_goes_with_its_owner_and_when_it_is_pruned(
    conversation: Conversation, agent: Agent, member: User, outsider: User
) -> None:
    share(thing=conversation, verb="view", to=outsider, by=member, actor=SYSTEM)
    member.delete()
    assert not UserObjectPermission.objects.exists()
    again = Conversation.objects.create(owner=outsider, agent=agent)
    share(thing=again, verb="view", to=User.objects.create(username="x"), by=outsider, actor=SYSTEM)
    Conversation.objects.filter(pk=again.pk).delete()
    assert not UserObjectPermission.objects.exists()


def test_grants_to_a_person_go_with_the_person(conversation: Conversation, member: User, outsider: User) -> None:
    share(thing=conversation, verb="view", to=outsider, by=member, actor=SYSTEM)
    outsider.delete()
    assert grants_of(conversation) == []


def test_who_is_deactivated_shares_nothing(conversation: Conversation, member: User, outsider: User) -> None:
    User.objects.filter(pk=member.pk).update(is_active=False)
    member.refresh_from_db()
    with pytest.raises(NotYoursToShare):
        share(thing=conversation, verb="view", to=outsider, by=member, actor=SYSTEM)


def test_a_list_of_who_is_shared_nothing_asks_for_their_own_alone(conversation: Conversation, member: User) -> None:
    found = Conversation.objects.visible_to(User.objects.get(pk=member.pk))
    assert " OR " not in str(found.query), "the index of one's own gives the list in its order"
    assert [*found] == [conversation]


def test_a_permission_of_one_kind_says_nothing_of_another(agent: Agent, outsider: User) -> None:
    share(thing=agent, verb="use", to=outsider, by=None, actor=SYSTEM)
    assert granted_ids(outsider, VIEW) == []
    assert granted_ids(outsider, "agents_definitions.change_agent") == []
    assert granted_ids(outsider, "agents_definitions.use_agent") == [agent.pk]
    assert Permission.objects.filter(codename="use_agent").count() == 1
    assert Role.objects.count() == 0
