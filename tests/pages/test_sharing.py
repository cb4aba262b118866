"""Sharing on pages: who gives, who reads, and who finds nothing."""

from __future__ import annotations

import pytest
from django.test import Client
from django.urls import reverse
from guardian.models import UserObjectPermission

from accounts.audit import SYSTEM
from accounts.models import User
from accounts.sharing import share
from agents.definitions.models import Agent
from agents.memory.models import Conversation, Message
from foundation.models import new_id

pytestmark = pytest.mark.django_db


@pytest.fixture
def conversation(member: User, agent: Agent) -> Conversation:
    made = Conversation.objects.create(owner=member, agent=agent, title="Parcels")
    Message.objects.create(conversation=made, position=1, role="user", content="Where is my parcel?")
    Message.objects.create(conversation=made, position=2, role="assistant", content="In **Lisbon**.")
    return made


def _as(user: User) -> Client:
    client = Client()
    client.force_login(user)
    return client


def _sharing(conversation: Conversation) -> str:
    return reverse("pages:conversation-sharing", args=[conversation.pk])


def test_its_owner_shares_a_conversation_and_takes_it_back(
    conversation: Conversation, member: User, outsider: User
) -> None:
    client = _as(member)
    assert _sharing(conversation) in client.get(reverse("pages:conversation", args=[conversation.pk])).content.decode()
    assert client.get(_sharing(conversation)).status_code == 200
    done = client.post(_sharing(conversation), {"kind": "user", "name": "outsider", "verb": "view"}, follow=True)
    assert "outsider" in done.content.decode()
    grant = UserObjectPermission.objects.get()
    client.post(_sharing(conversation), {"take": f"user-{grant.pk}"})
    assert not UserObjectPermission.objects.exists()


def test_who_it_is_shared_with_reads_it_marked_and_without_anything_to_write(
    conversation: Conversation, member: User, outsider: User
) -> None:
    address = reverse("pages:conversation", args=[conversation.pk])
    reader = _as(outsider)
    assert reader.get(address).status_code == 404
    share(thing=conversation, verb="view", to=outsider, by=member, actor=SYSTEM)
    html = reader.get(address).content.decode()
    assert "Where is my parcel?" in html
    assert "<strong>Lisbon</strong>" in html
    assert "shared by member" in html
    main = html[html.index('class="chat-main"') : html.index('id="announcer"')]
    writing = ("<form", "<textarea", "/edit/", "/delete/", "/title/", "/again/", "/sharing/")
    assert not any(word in main for word in writing)
    listed = reader.get(reverse("pages:chat-list")).content.decode()
    assert "Shared with me" in listed
    assert "by member" in listed


@pytest.mark.parametrize("page", ["conversation-title", "conversation-delete", "chat-say", "conversation-sharing"])
def test_who_only_reads_finds_nothing_to_change(
    conversation: Conversation, member: User, outsider: User, page: str
) -> None:
    share(thing=conversation, verb="view", to=outsider, by=member, actor=SYSTEM)
    answer = _as(outsider).post(reverse(f"pages:{page}", args=[conversation.pk]), {"text": "x", "title": "x"})
    assert answer.status_code == 404
    assert (conversation.messages.count(), Conversation.objects.get().title) == (2, "Parcels")


def test_a_long_message_is_read_whole_by_whoever_reads_the_conversation_and_by_nobody_else(
    conversation: Conversation, member: User, outsider: User, operator: User
) -> None:
    whole = reverse("pages:chat-whole", args=[conversation.messages.first().pk])  # type: ignore[union-attr]
    assert [_as(person).get(whole).status_code for person in (member, outsider, operator)] == [200, 404, 404]
    share(thing=conversation, verb="view", to=outsider, by=member, actor=SYSTEM)
    assert _as(outsider).get(whole).status_code == 200
    edit = reverse("pages:chat-edit", args=[conversation.messages.first().pk])  # type: ignore[union-attr]
    assert _as(outsider).get(edit).status_code == 404


def test_one_that_was_not_shared_looks_like_one_that_is_not_there(conversation: Conversation, operator: User) -> None:
    client = _as(operator)
    pages = [
        client.get(reverse(name, args=[pk]))
        for name in ("pages:conversation", "pages:conversation-sharing")
        for pk in (conversation.pk, new_id())
    ]
    assert [page.status_code for page in pages] == [404] * 4
    assert len(pages[0].content) == len(pages[1].content)


def test_a_search_finds_what_was_shared_too(conversation: Conversation, member: User, outsider: User) -> None:
    share(thing=conversation, verb="view", to=outsider, by=member, actor=SYSTEM)
    search = reverse("pages:chat-list")
    assert "Parcels" in _as(outsider).get(f"{search}?q=lisbon").content.decode()
    assert "Parcels" not in _as(outsider).get(f"{search}?q=madrid").content.decode()


def test_an_agent_is_shared_by_whoever_may_change_it(agent: Agent, admin: User, member: User, outsider: User) -> None:
    address = reverse("pages:agent-sharing", args=[agent.slug])
    assert address in _as(admin).get(reverse("pages:agent", args=[agent.slug])).content.decode()
    assert address not in _as(member).get(reverse("pages:agent", args=[agent.slug])).content.decode()
    assert _as(member).get(address).status_code == 403
    assert _as(outsider).get(address).status_code == 404
    assert _as(admin).post(address, {"kind": "user", "name": "outsider", "verb": "use"}).status_code == 302
    assert _as(outsider).get(reverse("pages:agent", args=[agent.slug])).status_code == 200


@pytest.mark.parametrize(("kind", "name"), [("user", "nobody"), ("user", "outsid"), ("role", "nobody"), ("role", "_")])
def test_an_unknown_name_is_refused_in_the_same_words_and_stays_in_the_form(
    conversation: Conversation, member: User, outsider: User, kind: str, name: str
) -> None:
    answer = _as(member).post(_sharing(conversation), {"kind": kind, "name": name, "verb": "view"})
    assert answer.status_code == 400
    assert "There is no such person or role that this could be shared with." in answer.content.decode()
    assert f'value="{name}"' in answer.content.decode()
    assert not UserObjectPermission.objects.exists()
