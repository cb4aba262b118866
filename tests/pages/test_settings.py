"""My settings."""

from __future__ import annotations

from typing import Any

import pytest
from allauth.account.models import EmailAddress
from django.core import mail
from django.db import IntegrityError
from django.test import Client

from accounts.audit import SYSTEM
from accounts.exceptions import MailTaken
from accounts.models import AuditEvent, User
from accounts.services import change_profile

pytestmark = pytest.mark.django_db
ADDRESS = "/settings/"
PASSWORD = "member-password-1"


@pytest.fixture
def page(client: Client, member: User) -> Client:
    """The member is signed in."""
    client.force_login(member)
    return client


def given(**more: str) -> dict[str, str]:
    return {"first_name": "", "last_name": "", "email": "", "language": "", "theme": "", **more}


def test_the_language_is_spoken_at_once_and_in_the_admin_too(client: Client, operator: User) -> None:
    client.force_login(operator)
    answer = client.post(ADDRESS, given(language="pt-br"), follow=True)
    assert '<html lang="pt-br"' in answer.content.decode()
    for address in ("/", "/admin/"):
        assert 'lang="pt-br"' in client.get(address, headers={"accept-language": "en"}).content.decode()
    client.post(ADDRESS, given())
    assert '<html lang="en"' in client.get("/", headers={"accept-language": "en"}).content.decode()


def test_whoever_is_not_signed_in_is_spoken_to_as_their_browser_asks(client: Client) -> None:
    for language in ("pt-br", "en"):
        page = client.get("/account/login/", headers={"accept-language": language})
        assert f'<html lang="{language}"' in page.content.decode()


def test_the_appearance_is_on_every_page(page: Client) -> None:
    page.post(ADDRESS, given(theme="dark"))
    assert 'data-theme="dark"' in page.get("/").content.decode()
    page.post(ADDRESS, given())
    assert "data-theme" not in page.get("/").content.decode()


def test_what_changed_is_written_down_with_what_was_before(page: Client, member: User) -> None:
    page.post(ADDRESS, given(first_name="Ana", theme="light"))
    member.refresh_from_db()
    assert (member.first_name, member.theme) == ("Ana", "light")
    assert AuditEvent.objects.get(verb="user.change").changes == {
        "first_name": {"before": "", "after": "Ana"},
        "theme": {"before": "", "after": "light"},
    }
    page.post(ADDRESS, given(first_name="Ana", theme="light"))
    assert AuditEvent.objects.filter(verb="user.change").count() == 1


def test_rights_cannot_be_given_by_the_form(page: Client, member: User) -> None:
    page.post(ADDRESS, given(is_superuser="1", is_staff="1", username="root", groups="1"))
    member.refresh_from_db()
    assert (member.is_superuser, member.is_staff, member.username) == (False, False, "member")


def test_a_new_mail_address_takes_the_password_and_tells_the_old_one(page: Client, member: User) -> None:
    User.objects.update(email="old@example.com")
    EmailAddress.objects.create(user=member, email="old@example.com", verified=True, primary=True)
    asked = page.post(ADDRESS, given(email="New@example.com"))
    assert asked.headers["Location"].startswith("/account/reauthenticate/")
    member.refresh_from_db()
    assert member.email == "old@example.com"
    page.post("/account/reauthenticate/", {"password": PASSWORD, "next": ADDRESS})
    member.refresh_from_db()
    assert member.email == "new@example.com", "the form that was sent is carried on with"
    assert [message.to for message in mail.outbox] == [["old@example.com"]]
    assert not EmailAddress.objects.exists()
    old = Client()
    old.post("/account/login/", {"login": "old@example.com", "password": PASSWORD})
    assert "_auth_user_id" not in old.session


def test_two_accounts_never_share_a_mail_address(page: Client, member: User, outsider: User) -> None:
    User.objects.filter(pk=outsider.pk).update(email="one@example.com")
    page.post("/account/reauthenticate/", {"password": PASSWORD})
    refused = page.post(ADDRESS, given(email="ONE@example.com"))
    assert "Another account has this mail address" in refused.content.decode()
    with pytest.raises(MailTaken):
        change_profile(user=member, values={"email": "one@example.com"}, actor=SYSTEM)
    with pytest.raises(IntegrityError):
        User.objects.filter(pk=member.pk).update(email="ONE@example.com")


def test_it_says_who_i_am_and_where_i_signed_in(
    client: Client, member: User, django_assert_max_num_queries: Any
) -> None:
    client.post("/account/login/", {"login": "member", "password": PASSWORD})
    with django_assert_max_num_queries(12):
        text = client.get(ADDRESS).content.decode()
    assert [
        part for part in ("member", "127.0.0.1", "signed in", "Second factor", "1 session") if part not in text
    ] == []


def test_it_is_nobodys_without_signing_in(client: Client) -> None:
    assert client.get(ADDRESS).headers["Location"] == "/account/login/?next=/settings/"
