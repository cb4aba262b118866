"""Signing in, out, and back in, without a browser: who comes through the door, and what is written down."""

from __future__ import annotations

import re
from typing import Any

import pytest
from allauth.mfa.models import Authenticator
from allauth.mfa.totp.internal.auth import TOTP, generate_totp_secret
from django.core import mail
from django.test import Client
from django.urls import reverse

from accounts.models import AuditEvent, User
from tests.parts.authenticator import code_of

pytestmark = pytest.mark.django_db
SIGN_IN = "/account/login/"
PASSWORD = "member-password-1"


def sign_in(client: Client, login: str = "member", password: str = PASSWORD, **more: Any) -> Any:
    return client.post(SIGN_IN, {"login": login, "password": password}, **more)


def is_signed_in(client: Client) -> bool:
    return "_auth_user_id" in client.session


def reauthenticate(client: Client, password: str = PASSWORD) -> Any:
    return client.post("/account/reauthenticate/", {"password": password})


def without_token(response: Any) -> str:
    return re.sub(r"csrftoken.*", "", response.content.decode(), flags=re.IGNORECASE)


def told(verb: str) -> list[str]:
    return [*AuditEvent.objects.filter(verb=verb).order_by("id").values_list("outcome", flat=True)]


@pytest.fixture
def secret(member: User) -> str:
    made: str = generate_totp_secret()
    TOTP.activate(member, made)
    return made


@pytest.mark.parametrize("login", ["member", "MEMBER", "member@example.com", "Member@Example.com"])
def test_name_or_mail_opens(client: Client, member: User, login: str) -> None:
    User.objects.update(email="member@example.com")
    assert sign_in(client, login).headers["Location"] == "/"
    assert is_signed_in(client)
    assert told("auth.sign_in") == ["done"]


def test_a_wrong_password_and_an_unknown_name_get_the_same_answer(client: Client, member: User) -> None:
    pages = [sign_in(client, login, "wrong").content.decode() for login in ("member", "nobody")]
    sentences = [re.findall(r'role="alert">(.*?)<', page) for page in pages]
    assert sentences[0] == sentences[1] != []
    assert not is_signed_in(client)
    events = AuditEvent.objects.filter(verb="auth.sign_in", outcome="denied").order_by("id")
    assert [(event.actor_name, event.actor_id) for event in events] == [("member", None), ("nobody", None)]


def test_an_account_that_is_not_active_does_not_open(client: Client, member: User) -> None:
    User.objects.update(is_active=False)
    sign_in(client)
    assert not is_signed_in(client)


def test_after_five_failures_even_the_right_password_waits(client: Client, member: User) -> None:
    for _attempt in range(5):
        sign_in(client, password="wrong")
    assert "Too many failed login attempts" in sign_in(client).content.decode()
    assert not is_signed_in(client)


def test_nobody_comes_in_while_nobody_counts(client: Client, member: User, settings: Any) -> None:
    settings.CACHES = {"default": {**settings.CACHES["default"], "LOCATION": "redis://127.0.0.1:1/0"}}
    response = sign_in(client)
    assert (response.status_code, response.headers["Retry-After"]) == (503, "5")
    assert "We cannot reach our data" in response.content.decode()
    assert not is_signed_in(client)


def test_the_second_factor_is_asked_for_and_a_code_opens_once(client: Client, secret: str) -> None:
    assert sign_in(client).headers["Location"] == reverse("mfa_authenticate")
    assert not is_signed_in(client)
    assert client.get("/").status_code == 302
    client.post(reverse("mfa_authenticate"), {"code": "000000"})
    assert not is_signed_in(client)
    code = code_of(secret)
    client.post(reverse("mfa_authenticate"), {"code": code})
    assert is_signed_in(client)
    assert told("auth.sign_in") == ["denied", "done"]
    other = Client()
    sign_in(other)
    other.post(reverse("mfa_authenticate"), {"code": code})
    assert not is_signed_in(other)


def test_the_admin_has_the_same_door(client: Client, operator: User) -> None:
    TOTP.activate(operator, generate_totp_secret())
    response = client.get("/admin/", follow=True)
    assert response.redirect_chain[-1][0].startswith(SIGN_IN)
    assert client.post("/admin/login/", {"username": "operator", "password": "operator-password-1"}).status_code == 302
    assert not is_signed_in(client)
    assert sign_in(client, "operator", "operator-password-1").headers["Location"] == reverse("mfa_authenticate")
    assert client.get("/admin/").status_code == 302


def test_whoever_is_no_operator_is_told_so_by_the_admin(client: Client, member: User) -> None:
    client.force_login(member)
    response = client.get("/admin/", follow=True)
    assert response.status_code == 403
    assert "This is not yours to see" in response.content.decode()


def test_the_address_to_go_on_to_is_one_of_ours(client: Client, member: User) -> None:
    there = client.post(SIGN_IN, {"login": "member", "password": PASSWORD, "next": "https://evil.example/"})
    assert there.headers["Location"] == "/"
    other = Client().post(SIGN_IN, {"login": "member", "password": PASSWORD, "next": "/keys/"})
    assert other.headers["Location"] == "/keys/"


CLOSED = ["signup/", "email/", "confirm-email/", "confirm-email/abc/", "password/set/", "login/code/confirm/"]


@pytest.mark.parametrize("address", CLOSED)
def test_what_we_do_not_offer_is_a_missing_page(client: Client, member: User, address: str) -> None:
    for _who in ("nobody", "member"):
        assert client.get(f"/account/{address}").status_code == 404
        new = {"username": "new", "password1": "x", "password2": "x"}
        assert client.post(f"/account/{address}", new).status_code == 404
        client.force_login(member)
    assert User.objects.count() == 1


def test_signing_out_ends_the_session_and_is_written_down(client: Client, member: User) -> None:
    sign_in(client)
    assert client.get("/account/logout/").status_code == 200
    assert is_signed_in(client), "a link alone signs nobody out"
    client.post("/account/logout/")
    assert not is_signed_in(client)
    assert told("auth.sign_out") == ["done"]


def test_a_new_password_ends_the_other_sessions_and_takes_the_old_one(client: Client, member: User) -> None:
    other = Client()
    sign_in(client)
    sign_in(other)
    new = {"password1": "another-password-2", "password2": "another-password-2"}
    client.post("/account/password/change/", {"oldpassword": "wrong", **new})
    assert told("auth.password_change") == []
    client.post("/account/password/change/", {"oldpassword": PASSWORD, **new})
    assert told("auth.password_change") == ["done"]
    assert client.get("/").status_code == 200
    assert other.get("/").status_code == 302
    member.refresh_from_db()
    assert member.check_password("another-password-2")


def test_a_link_by_mail_sets_a_new_password_once(client: Client, member: User) -> None:
    User.objects.update(email="member@example.com")
    client.post("/account/password/reset/", {"email": "Member@example.com"})
    assert len(mail.outbox) == 1
    link = re.search(r"http://testserver(/account/password/reset/key/\S+)", str(mail.outbox[0].body))
    assert link is not None
    form = client.get(link.group(1), follow=True).redirect_chain[-1][0]
    client.post(form, {"password1": "another-password-2", "password2": "another-password-2"})
    member.refresh_from_db()
    assert member.check_password("another-password-2")
    assert told("auth.password_reset") == ["done"]
    assert not is_signed_in(client), "the new password, and the second factor, are still to be given"
    assert "This link has ended" in Client().get(link.group(1), follow=True).content.decode()


def test_an_unknown_address_gets_the_same_page_and_a_mail_without_a_link(member: User) -> None:
    User.objects.update(email="member@example.com")
    pages = [
        without_token(Client().post("/account/password/reset/", {"email": address}, follow=True))
        for address in ("member@example.com", "nobody@example.com")
    ]
    assert pages[0] == pages[1]
    assert "There is no such account here" in str(mail.outbox[1].body)
    assert "signup" not in str(mail.outbox[1].body)


def test_a_mail_server_that_is_away_breaks_nothing(client: Client, member: User, settings: Any) -> None:
    User.objects.update(email="member@example.com")
    settings.EMAIL_BACKEND, settings.EMAIL_HOST, settings.EMAIL_PORT = (
        "django.core.mail.backends.smtp.EmailBackend", "127.0.0.1", 1,
    )  # fmt: skip
    response = client.post("/account/password/reset/", {"email": "member@example.com"}, follow=True)
    assert "Look at your mail" in response.content.decode()


def test_turning_the_second_factor_on_asks_for_the_password_again(
    client: Client, member: User, django_capture_on_commit_callbacks: Any
) -> None:
    sign_in(client)
    activate, codes = reverse("mfa_activate_totp"), reverse("mfa_view_recovery_codes")
    assert client.get(activate).headers["Location"].startswith("/account/reauthenticate/")
    assert reauthenticate(client, "wrong").status_code == 200
    reauthenticate(client)
    page = client.get(activate)
    assert "data:image/svg+xml" in page.content.decode()
    assert client.post(activate, {"code": "000000"}).status_code == 200
    assert not Authenticator.objects.exists()
    with django_capture_on_commit_callbacks(execute=True):
        assert client.post(activate, {"code": code_of(page.context["form"].secret)}).status_code == 302
    assert told("auth.second_factor_on") == ["done"]
    assert [len(re.findall(r"^\d{8}$", client.get(codes).content.decode(), re.MULTILINE)) for _ in range(2)] == [9, 0]
    assert client.get("/account/two-factor/recovery-codes/download/").status_code == 403


def test_turning_it_off_asks_for_the_password_again(client: Client, secret: str, member: User) -> None:
    User.objects.update(email="member@example.com")
    client.force_login(member)
    off = reverse("mfa_deactivate_totp")
    assert client.post(off).headers["Location"].startswith("/account/reauthenticate/")
    assert Authenticator.objects.count() == 1
    reauthenticate(client)
    client.post(off)
    assert not Authenticator.objects.exists()
    assert told("auth.second_factor_off") == ["done"]
    assert [message.to for message in mail.outbox] == [["member@example.com"]]


def test_everywhere_else_is_signed_out_at_a_word(client: Client, member: User) -> None:
    other = Client(headers={"user-agent": "Another browser"})
    sign_in(other)
    sign_in(client)
    page = client.get("/account/sessions/")
    assert "Another browser" in page.content.decode()
    client.post("/account/sessions/")
    assert (client.get("/").status_code, other.get("/").status_code) == (200, 302)


def test_an_administrator_who_sets_a_password_leaves_a_trace(client: Client, admin: User, member: User) -> None:
    client.force_login(admin)
    address = f"/admin/accounts/user/{member.pk}/password/"
    new = {"password1": "another-password-2", "password2": "another-password-2"}
    client.post(address, {**new, "usable_password": "true"})
    member.refresh_from_db()
    assert member.check_password("another-password-2")
    event = AuditEvent.objects.get(verb="auth.password_change")
    assert (event.actor_id, event.subject_id) == (admin.pk, member.pk)
    assert client.get("/admin/password_change/").headers["Location"] == "/account/password/change/"
