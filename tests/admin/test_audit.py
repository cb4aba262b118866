"""The audit log in the admin: read without knowing the code, and downloaded."""

from __future__ import annotations

from typing import Any

import pytest
from django.test import Client
from django.urls import reverse

from accounts import audit, seals, verifying
from accounts.models import AuditEvent, AuditSeal, User
from accounts.shredding import shred

pytestmark = pytest.mark.django_db
LIST = reverse("admin:accounts_auditevent_changelist")


@pytest.fixture
def page(client: Client, admin: User) -> Client:
    client.force_login(admin)
    return client


def _event(subject: User, **options: Any) -> AuditEvent:
    changes = audit.difference({"email": "old@example.org"}, {"email": "new@example.org"})
    usual: dict[str, Any] = {"verb": "user.change", "actor": audit.Actor(name="Rui"), "changes": changes}
    event = audit.record(**(usual | {"subject": subject} | options))
    verifying.verify()
    event.refresh_from_db()
    return event


def _shown(page: Client, event: AuditEvent) -> str:
    response = page.get(reverse("admin:accounts_auditevent_change", args=[event.pk]))
    assert response.status_code == 200
    return response.content.decode()


def test_deeds_are_chosen_in_words(page: Client, member: User) -> None:
    _event(member)
    text = page.get(LIST).content.decode()
    assert "?verb=auth.password_change" in text
    assert "changed a password" in text
    text = page.get(f"{LIST}?verb=user.change").content.decode()
    assert text.count("Rui") == 1


def test_an_event_has_before_and_after_and_its_place(page: Client, member: User) -> None:
    event = _event(member)
    text = _shown(page, event)
    for said in ("Rui changed a user: member", "old@example.org", "new@example.org", "as it was written", "next seal"):
        assert said in text
    seals.seal()
    assert "covered by the seal of event #1" in _shown(page, event)


def test_an_event_that_was_changed_says_so(page: Client, member: User) -> None:
    event = _event(member)
    AuditEvent.objects.update(actor_name="Eva")
    text = _shown(page, event)
    assert "was changed" in text
    assert "as it was written" not in text


def test_an_event_that_was_erased_says_so_and_verifies(page: Client, member: User) -> None:
    event = _event(member)
    shred(events=AuditEvent.objects.filter(pk=event.pk), verb="privacy.erase", actor=audit.SYSTEM, subject=member)
    text = _shown(page, event)
    assert "erased" in text
    assert "as it was written" in text
    assert "old@example.org" not in text


def test_text_of_others_is_never_markup(page: Client, member: User) -> None:
    event = _event(member, actor=audit.Actor(name="<b>x"), changes={"<i>": "<script>alert(1)</script>"})
    text = _shown(page, event)
    assert "<script>alert(1)" not in text
    assert "<b>x" not in text


@pytest.mark.parametrize("name", ["member", "Rui"])
def test_people_are_found_by_name(page: Client, member: User, admin: User, name: str) -> None:
    _event(member)
    _event(admin, actor=audit.Actor(name="Bea"))
    found = page.get(f"{LIST}?q={name}").context["cl"].result_list
    assert [event.actor_name for event in found] == ["Rui"]


def test_the_list_is_downloaded_as_it_is_narrowed(page: Client, member: User) -> None:
    _event(member)
    _event(member, verb="user.create")
    text = page.get(f"{LIST}?verb=user.create").content.decode()
    address = reverse("admin:accounts_auditevent_export", args=["csv"])
    assert f"{address}?verb=user.create" in text
    lines = b"".join(page.get(f"{address}?verb=user.create").streaming_content).decode().splitlines()  # type: ignore[attr-defined]
    assert (len(lines), "created a user" in lines[1]) == (2, True)
    assert AuditEvent.objects.filter(verb="audit.export").count() == 1
    assert page.get(reverse("admin:accounts_auditevent_export", args=["xml"])).status_code == 404


def test_who_may_not_view_may_not_download(client: Client, operator: User, member: User) -> None:
    client.force_login(operator)
    event = _event(member)
    for address in (
        LIST,
        reverse("admin:accounts_auditevent_export", args=["csv"]),
        reverse("admin:accounts_auditevent_change", args=[event.pk]),
        reverse("admin:accounts_user_data", args=[member.pk]),
    ):
        assert client.get(address).status_code == 403


def test_nothing_of_it_is_changed_in_the_admin(page: Client, member: User) -> None:
    event = _event(member)
    address = reverse("admin:accounts_auditevent_change", args=[event.pk])
    page.post(address, {"actor_name": "Eva"})
    page.post(LIST, {"action": "delete_selected", "_selected_action": [str(event.pk)], "post": "yes"})
    event.refresh_from_db()
    assert event.actor_name == "Rui"
    assert verifying.verify().is_whole


def test_seals_say_whether_they_are_signed(page: Client, member: User) -> None:
    _event(member)
    seals.seal()
    address = reverse("admin:accounts_auditseal_changelist")
    assert page.get(address).status_code == 200
    assert page.get(reverse("admin:accounts_auditseal_change", args=[AuditSeal.objects.get().pk])).status_code == 200


def test_the_list_asks_few_questions(page: Client, member: User, django_assert_max_num_queries: Any) -> None:
    for _number in range(5):
        _event(member)
    with django_assert_max_num_queries(6):
        page.get(LIST)
