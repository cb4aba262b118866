"""Roles, reasons and sharing as somebody works with them: on a desk, on a phone, in the dark, by keys alone."""

from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path

import pytest

from accounts.audit import SYSTEM
from accounts.models import Role, User
from accounts.roles import create_role, ensure_roles
from accounts.sharing import share
from agents.definitions.services import create_agent
from agents.memory.models import Conversation, Message
from tests.pages.browser.conftest import DESKTOP, PHONE, Visitor

pytestmark = [pytest.mark.browser, pytest.mark.django_db(transaction=True)]

Visit = Callable[[], Visitor]


def _picture(visitor: Visitor, name: str) -> None:
    """For whoever wants to look: MUTIRAO_PICTURES names a folder."""
    if folder := os.environ.get("MUTIRAO_PICTURES"):
        for look, size, scheme in (("desktop", DESKTOP, "light"), ("phone", PHONE, "dark")):
            visitor.page.set_viewport_size(size)  # type: ignore[arg-type]
            visitor.page.emulate_media(color_scheme=scheme)  # type: ignore[arg-type]
            visitor.page.screenshot(path=Path(folder) / f"{name}-{look}.png", full_page=True)


@pytest.fixture
def people() -> None:
    """An administrator, an operator with a role of their own, and a member."""
    ensure_roles()
    User.objects.create_superuser(username="admin", password="admin-password-1")
    for name in ("operator", "member"):
        user = User.objects.create_user(username=name, password=f"{name}-password-1", is_staff=name == "operator")
        user.groups.set(Role.objects.filter(name=name))
    odd = create_role(name="odd", permissions=["accounts.add_user", "sessions.view_session"], by=None, actor=SYSTEM)
    User.objects.get(username="operator").groups.add(odd)


def _administrator(visit: Visit) -> Visitor:
    visitor = visit()
    visitor.sign_in("admin")
    visitor.page.wait_for_url("**/")
    return visitor


def test_a_role_is_changed_by_keys_alone(people: None, visit: Visit) -> None:
    visitor = _administrator(visit)
    visitor.go(f"/admin/accounts/role/{Role.objects.get(name='odd').pk}/change/")
    box = visitor.page.get_by_label("Agents: use")
    box.focus()
    visitor.page.keyboard.press("Space")
    assert box.is_checked()
    assert visitor.page.get_by_label("keep this part").is_checked()
    _picture(visitor, "role")
    assert visitor.faults() == []
    visitor.page.get_by_label("Name").focus()
    visitor.page.keyboard.press("Enter")
    visitor.page.wait_for_url("**/admin/accounts/role/")
    kept = {permission.codename for permission in Role.objects.get(name="odd").permissions.all()}
    assert kept == {"use_agent", "add_user", "view_session"}
    assert visitor.complaints == []


def test_why_somebody_may_something_is_read_on_every_screen(people: None, visit: Visit) -> None:
    operator = User.objects.get(username="operator")
    agent = create_agent(slug="echo", name="Echo", model="scripted:echo")
    share(thing=agent, verb="use", to=operator, by=None, actor=SYSTEM)
    visitor = _administrator(visit)
    visitor.go(f"/admin/accounts/user/{operator.pk}/change/")
    _picture(visitor, "user")
    assert [fault for fault in visitor.faults() if "wider" in fault] == []
    visitor.page.set_viewport_size(DESKTOP)  # type: ignore[arg-type]
    visitor.page.get_by_role("link", name="What may this person do, and why?").first.click()
    assert visitor.sees("role “operator”")
    assert visitor.sees("it was shared with them")
    _picture(visitor, "access")
    assert visitor.faults() == []
    visitor.go(f"/admin/agents_definitions/agent/{agent.pk}/sharing/")
    _picture(visitor, "sharing-admin")
    assert visitor.faults() == []
    assert visitor.complaints == []


def test_a_conversation_is_shared_and_read(people: None, visit: Visit) -> None:
    agent = create_agent(slug="echo", name="Echo", model="scripted:echo")
    member = User.objects.get(username="member")
    conversation = Conversation.objects.create(owner=member, agent=agent, title="Parcels")
    Message.objects.create(conversation=conversation, position=1, role="user", content="Where is my parcel?")
    Message.objects.create(conversation=conversation, position=2, role="assistant", content="In **Lisbon**.")
    owner = visit()
    owner.sign_in("member")
    owner.page.wait_for_url("**/")
    owner.go(f"/chat/{conversation.pk}/")
    owner.press("Share")
    owner.fill("Name", "operator")
    owner.page.keyboard.press("Enter")
    assert owner.sees("Done.")
    _picture(owner, "sharing")
    assert owner.faults() == []
    reader = visit()
    reader.sign_in("operator")
    reader.page.wait_for_url("**/")
    reader.go("/chat/")
    reader.page.get_by_role("link", name="Parcels").first.click()
    assert reader.sees("shared by member")
    assert reader.page.get_by_role("textbox", name="Your message").count() == 0
    _picture(reader, "shared")
    assert reader.faults() == []
    assert owner.complaints == reader.complaints == []
