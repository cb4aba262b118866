"""Guessing passwords: shut after a few, from wherever; and whoever guesses learns nothing, by answer or by time."""

from __future__ import annotations

import re
from collections.abc import Callable
from threading import Barrier, Thread
from typing import Any

import pytest
from allauth.account.adapter import get_adapter
from django.contrib.auth.hashers import MD5PasswordHasher, PBKDF2PasswordHasher, ScryptPasswordHasher, make_password
from django.contrib.auth.models import AnonymousUser
from django.core import mail
from django.core.exceptions import ValidationError
from django.db import connection
from django.test import Client, RequestFactory
from rest_framework.test import APIClient

from accounts.audit import SYSTEM
from accounts.backends import find_person
from accounts.models import AuditEvent, User
from accounts.service_accounts import make_service_account

pytestmark = pytest.mark.django_db
TOKEN = "/api/v1/auth/token"
SIGN_IN = "/account/login/"
PASSWORD = "member-password-1"
WRONG = "wrong"
LIMIT, TRIED = 5, 30

Ask = Callable[..., int]


def by_api(login: str, password: str = WRONG, **more: Any) -> int:
    """Status of signing in to the API."""
    return APIClient().post(TOKEN, {"username": login, "password": password}, **more).status_code


def by_page(login: str, password: str = WRONG, **more: Any) -> int:
    """What the page says, as the API's status."""
    answer = Client().post(SIGN_IN, {"login": login, "password": password}, **more)
    if answer.status_code != 200:
        return {302: 200}.get(answer.status_code, answer.status_code)
    return 429 if "Too many failed login attempts" in answer.content.decode() else 401


def guess(login: str, password: str, **meta: Any) -> Any:
    """What both doors ask. Raises ValidationError when there were too many."""
    request = RequestFactory().post(SIGN_IN, **meta)
    request.user = AnonymousUser()
    return get_adapter(request).authenticate(request, username=login, password=password)


DOORS = [by_api, by_page]


def address(number: int) -> str:
    return f"198.51.{number // 250}.{number % 250 + 1}"


@pytest.fixture
def hashed(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """The hasher of every time that a password was hashed."""
    calls: list[str] = []
    for hasher in (MD5PasswordHasher, PBKDF2PasswordHasher, ScryptPasswordHasher):
        monkeypatch.setattr(hasher, "encode", _counted(hasher, calls))
    return calls


def _counted(hasher: Any, calls: list[str]) -> Callable[..., str]:
    real = hasher.encode

    def encode(self: Any, *args: Any, **kwargs: Any) -> str:
        calls.append(self.algorithm)
        text: str = real(self, *args, **kwargs)
        return text

    return encode


@pytest.mark.parametrize("proxies", [0, 1])
def test_of_a_thousand_guesses_the_limit_is_looked_at(
    member: User, hashed: list[str], settings: Any, proxies: int
) -> None:
    """From as many addresses: made up by the client (no proxy is trusted), and real ones. Page and API ask here."""
    settings.TRUSTED_PROXIES = proxies
    looked_at = 0
    for number in range(1000):
        try:
            assert guess("member", "wrong", HTTP_X_FORWARDED_FOR=address(number)) is None
            looked_at += 1
        except ValidationError:
            pass
    assert (looked_at, len(hashed)) == (LIMIT, LIMIT)
    with pytest.raises(ValidationError):
        guess("member", PASSWORD, HTTP_X_FORWARDED_FOR=address(2000))


@pytest.mark.parametrize("ask", DOORS)
def test_guesses_from_addresses_that_the_client_made_up(member: User, hashed: list[str], ask: Ask) -> None:
    """No proxy is trusted, so what stands in X-Forwarded-For is not looked at."""
    statuses = [ask("member", HTTP_X_FORWARDED_FOR=address(number)) for number in range(TRIED)]
    assert statuses[:LIMIT] == [401] * LIMIT
    assert set(statuses[LIMIT:]) == {429}
    assert len(hashed) == LIMIT
    assert ask("member", PASSWORD, HTTP_X_FORWARDED_FOR=address(2000)) == 429


@pytest.mark.parametrize("ask", DOORS)
def test_guesses_from_as_many_real_addresses(member: User, hashed: list[str], settings: Any, ask: Ask) -> None:
    settings.TRUSTED_PROXIES = 1
    statuses = [ask("member", HTTP_X_FORWARDED_FOR=address(number)) for number in range(TRIED)]
    assert statuses[:LIMIT] == [401] * LIMIT
    assert set(statuses[LIMIT:]) == {429}
    assert len(hashed) == LIMIT
    # Somebody else comes in meanwhile.
    User.objects.create_user("neighbour", password="neighbour-password-1")
    assert ask("neighbour", "neighbour-password-1", HTTP_X_FORWARDED_FOR=address(2000)) == 200


def test_one_address_tries_few_names(member: User, hashed: list[str]) -> None:
    statuses = [by_api(f"nobody-{number}") for number in range(30)]
    assert statuses == [401] * 10 + [429] * 20
    assert len(hashed) == 10


@pytest.mark.parametrize("hostile", ["", ",", "a, b", "203.0.113.7, x", "::1%eth0", "\x7f", "9" * 5000])
def test_rubbish_in_the_header_breaks_nothing_and_gains_nothing(member: User, settings: Any, hostile: str) -> None:
    settings.TRUSTED_PROXIES = 1
    statuses = [by_api(f"nobody-{number}", HTTP_X_FORWARDED_FOR=hostile) for number in range(12)]
    assert statuses[0] == 401
    assert statuses[-1] == 429


def test_the_page_the_api_and_every_spelling_count_together(member: User, settings: Any) -> None:
    settings.TRUSTED_PROXIES = 1
    User.objects.filter(pk=member.pk).update(email="member@example.com")
    names = ["member", "MEMBER", " member", "member@example.com", "Member@Example.com"]
    doors = [by_api, by_page, by_api, by_page, by_api]
    for number, (ask, name) in enumerate(zip(doors, names, strict=True)):
        assert ask(name, HTTP_X_FORWARDED_FOR=address(number)) == 401
    for ask in DOORS:
        assert ask("member", PASSWORD, HTTP_X_FORWARDED_FOR=address(99)) == 429


@pytest.mark.django_db(transaction=True)
def test_of_guesses_at_the_same_moment_no_more_than_the_limit_count(member: User, settings: Any) -> None:
    """allauth counts under a lock in Redis; whoever does not get it in a second is refused."""
    settings.TRUSTED_PROXIES = 1
    barrier, passed, refused = Barrier(32), list[int](), list[int]()

    def begin(number: int) -> None:
        request = RequestFactory().post(SIGN_IN, HTTP_X_FORWARDED_FOR=address(number))
        adapter = get_adapter(request)
        barrier.wait()
        try:
            adapter.pre_authenticate(request, username="member", password="wrong")
            passed.append(number)
        except ValidationError:
            refused.append(number)
        finally:
            connection.close()

    threads = [Thread(target=begin, args=(number,)) for number in range(32)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert (len(passed), len(refused)) == (LIMIT, 27)


@pytest.fixture
def unlike_people(member: User) -> dict[str, str]:
    """Name → what is special about it. None of them comes in with “wrong”, or with their right password if they are
    not to sign in.
    """
    User.objects.create_user("inactive", password=PASSWORD, is_active=False)
    User.objects.create_user("no-password").set_unusable_password()
    User.objects.filter(username="no-password").update(password=make_password(None))
    User.objects.create_user("mail", email="mail@example.com", password=PASSWORD)
    User.objects.create_user("twice@example.com", email="twice@example.com", password=PASSWORD)
    User.objects.create_user("gibberish")
    User.objects.filter(username="gibberish").update(password="md4$nothing")
    robot = make_service_account(name="robot", actor=SYSTEM)
    robot.set_password(PASSWORD)
    robot.save()
    names = [
        "member", "nobody", "inactive", "no-password", "mail", "mail@example.com", "nobody@example.com",
        "twice@example.com", "gibberish", "robot", "x" * 200,
    ]  # fmt: skip
    return dict.fromkeys(names, "wrong") | {"inactive": PASSWORD, "robot": PASSWORD, "no-password": ""}


def test_every_name_answers_alike_and_is_hashed_once(
    unlike_people: dict[str, str], hashed: list[str], settings: Any
) -> None:
    settings.TRUSTED_PROXIES = 1
    seen = set()
    for number, (name, password) in enumerate(unlike_people.items()):
        hashed.clear()
        given = {"username": name, "password": password or "wrong"}
        answer = APIClient().post(TOKEN, given, HTTP_X_FORWARDED_FOR=address(number))
        document = answer.json()
        del document["request_id"]
        # How many requests an address has left is its own affair.
        kept = {
            name: value for name, value in answer.headers.items() if not name.startswith(("X-Request-ID", "RateLimit"))
        }
        seen.add((answer.status_code, str(document), str(kept), len(hashed)))
    assert len(seen) == 1
    assert {(status, count) for status, _document, _headers, count in seen} == {(401, 1)}


def test_every_name_answers_alike_on_the_page_too(
    unlike_people: dict[str, str], hashed: list[str], settings: Any
) -> None:
    settings.TRUSTED_PROXIES = 1
    seen: dict[bool, set[Any]] = {True: set(), False: set()}
    for number, (name, password) in enumerate(unlike_people.items()):
        hashed.clear()
        given = {"login": name, "password": password or "wrong"}
        answer = Client().post(SIGN_IN, given, HTTP_X_FORWARDED_FOR=address(number))
        seen["@" in name].add((answer.status_code, _page(answer, name), len(hashed)))
    # The sentence says “mail address” or “name”, by what was typed.
    assert [len(found) for found in seen.values()] == [1, 1]
    assert {(status, count) for found in seen.values() for status, _page, count in found} == {(200, 1)}


def _page(answer: Any, name: str) -> str:
    """Without what differs in every answer, and what was typed."""
    return re.sub(r"[A-Za-z0-9]{64}", "", answer.content.decode().replace(f'value="{name}"', ""))


REAL = [
    "django.contrib.auth.hashers.ScryptPasswordHasher",
    "django.contrib.auth.hashers.PBKDF2PasswordHasher",
]


def test_hashes_of_older_hashers_and_work_factors_are_hashed_once_too(
    member: User, hashed: list[str], settings: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(PBKDF2PasswordHasher, "iterations", 10)
    monkeypatch.setattr(ScryptPasswordHasher, "work_factor", 2**4)
    settings.PASSWORD_HASHERS = REAL
    older = make_password(PASSWORD)
    monkeypatch.setattr(ScryptPasswordHasher, "work_factor", 2**5)
    stored = {
        "current": make_password(PASSWORD),
        "older factor": older,
        "older hasher": make_password(PASSWORD, hasher="pbkdf2_sha256"),
    }
    for number, (name, password) in enumerate(stored.items()):
        User.objects.filter(pk=member.pk).update(password=password)
        for login in ("member", "nobody"):
            hashed.clear()
            assert guess(login, "wrong", REMOTE_ADDR=address(number)) is None
            assert len(hashed) == 1, (name, login)
        # Right, it is stored anew with the current one: this costs once more, and whoever sees it is in.
        hashed.clear()
        assert guess("member", PASSWORD, REMOTE_ADDR=address(number)) == member
        assert len(hashed) == (1 if name == "current" else 2)


def test_a_name_goes_before_a_mail_address_that_somebody_gave_themselves(member: User) -> None:
    boss = User.objects.create_user("boss@example.com", password="boss-password-1")
    User.objects.filter(pk=member.pk).update(email="boss@example.com")
    assert find_person("boss@example.com") == boss
    assert by_api("boss@example.com", "boss-password-1") == 200
    assert by_api("boss@example.com", PASSWORD) == 401


def test_names_that_differ_in_capitals_alone_open_by_their_own_spelling(db: None) -> None:
    people = [User.objects.create_user(name, password="a-password-1") for name in ("Ana", "ana")]
    assert [find_person(name) for name in ("Ana", "ana", "ANA")] == [*people, None]


def test_a_mail_to_reset_is_answered_alike_and_goes_to_people_alone(unlike_people: dict[str, str]) -> None:
    User.objects.filter(username="robot").update(email="robot@example.com")
    User.objects.filter(username="inactive").update(email="inactive@example.com")
    pages = set()
    for name in ("mail", "nobody", "robot", "inactive"):
        answer = Client().post("/account/password/reset/", {"email": f"{name}@example.com"}, follow=True)
        pages.add((answer.status_code, str(answer.redirect_chain), _page(answer, name)))
    assert len(pages) == 1
    links = {message.to[0] for message in mail.outbox if "/password/reset/key/" in str(message.body)}
    assert links == {"mail@example.com"}


def test_a_mail_to_reset_never_leads_to_a_host_that_the_request_named(member: User) -> None:
    User.objects.filter(pk=member.pk).update(email="member@example.com")
    reset = {"email": "member@example.com"}
    assert Client().post("/account/password/reset/", reset, HTTP_HOST="evil.example").status_code == 400
    Client().post("/account/password/reset/", reset, HTTP_X_FORWARDED_HOST="evil.example")
    assert len(mail.outbox) == 1
    assert "evil.example" not in str(mail.outbox[0].body)


def test_what_was_tried_is_written_down_without_the_password(member: User) -> None:
    by_api("member", "secret-guess")
    by_page("nobody\u0000", "secret-guess")
    events = AuditEvent.objects.filter(verb="auth.sign_in", outcome="denied")
    assert [event.actor_name for event in events] == ["member"]
    assert "secret-guess" not in str([vars(event) for event in events])
