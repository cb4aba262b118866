"""Signing in, keys and settings, as a person does it: by what is written on the page."""

from __future__ import annotations

import json
import urllib.error
import urllib.request
from collections.abc import Callable

import pytest
from playwright.sync_api import Browser

from accounts import keys
from accounts.models import User
from tests.pages.browser.conftest import Visitor
from tests.parts.authenticator import code_of

pytestmark = pytest.mark.browser
Visit = Callable[..., Visitor]


@pytest.fixture
def member(browser: Browser, transactional_db: None) -> User:
    """Has a role and a password."""
    return User.objects.create_user("member", password="member-password-1", is_staff=True)


def turn_on_second_factor(visitor: Visitor) -> tuple[str, list[str]]:
    """From the settings; gives the secret and the recovery codes, read from the page."""
    visitor.go("/settings/")
    visitor.press("Turn it on")
    visitor.press("Turn it on")
    visitor.fill("Password", "member-password-1")
    visitor.press("Go on")
    visitor.page.get_by_text("No camera? Type the secret").click()
    secret = visitor.page.locator("#totp-secret").inner_text().strip()
    assert visitor.page.locator("img.qr").evaluate("image => image.naturalWidth") > 0
    visitor.fill("Authenticator code", code_of(secret))
    visitor.press("Turn it on")
    assert visitor.sees("This page shows them once")
    return secret, visitor.page.locator("#recovery-codes").inner_text().split()


def ask_api(address: str, key: str) -> int:
    """The status of `GET /api/v1/me` with this key."""
    request = urllib.request.Request(f"{address}/api/v1/me", headers={"Authorization": f"Bearer {key}"})  # noqa: S310
    try:
        with urllib.request.urlopen(request, timeout=10) as response:  # noqa: S310
            assert json.load(response)["username"] == "member"
            return int(response.status)
    except urllib.error.HTTPError as error:
        return error.code


def test_signing_in_with_an_authenticator_app_and_once_with_a_recovery_code(visit: Visit, member: User) -> None:
    first = visit()
    first.sign_in("member")
    secret, codes = turn_on_second_factor(first)
    assert len(codes) == 10
    first.page.reload()
    assert codes[0] not in first.page.content()

    second = visit()
    second.sign_in("member")
    assert second.sees("Your second factor")
    second.fill("Code", "000000")
    second.press("Sign in")
    assert second.sees("Incorrect code")
    second.fill("Code", code_of(secret))
    second.press("Sign in")
    assert second.sees("Your work of the last 24 hours")

    for number, answer in enumerate(("Your work of the last 24 hours", "Incorrect code")):
        third = visit()
        third.sign_in("member")
        third.fill("Code", codes[0])
        third.press("Sign in")
        assert third.sees(answer), number
        assert third.complaints == []
    assert first.complaints + second.complaints == []


def test_a_key_is_issued_shown_once_used_rotated_and_revoked(visit: Visit, member: User) -> None:
    visitor = visit()
    visitor.sign_in("member")
    visitor.go("/keys/")
    visitor.press("New key")
    visitor.fill("Name", "laptop")
    visitor.press("Make the key")
    key = visitor.page.locator("#new-key").inner_text()
    visitor.press("Copy")
    assert visitor.sees("Copied")
    assert visitor.page.evaluate("navigator.clipboard.readText()") == key
    assert ask_api(visitor.address, key) == 200
    visitor.press("I have it")
    assert visitor.sees("laptop")
    assert key not in visitor.page.content()

    visitor.press("Rotate laptop")
    visitor.press("Rotate it")
    successor = visitor.page.locator("#new-key").inner_text()
    assert [ask_api(visitor.address, one) for one in (key, successor)] == [200, 200]
    visitor.press("I have it")
    assert visitor.sees("rotated, ends soon")
    visitor.press("Revoke laptop")
    visitor.press("Revoke it")
    assert visitor.sees("is revoked")
    keys.forget()
    # The newest stands first, so it was the successor that was revoked.
    assert [ask_api(visitor.address, one) for one in (key, successor)] == [200, 401]
    assert visitor.complaints == []


def test_the_language_and_the_appearance_change_at_once(visit: Visit, member: User) -> None:
    visitor = visit()
    visitor.sign_in("member")
    visitor.go("/settings/")
    background = "getComputedStyle(document.body).backgroundColor"
    before = visitor.page.evaluate(background)
    visitor.page.get_by_label("Appearance").select_option("dark")
    visitor.page.get_by_label("Language").select_option("pt-br")
    visitor.press("Save")
    visitor.page.locator("[lang=pt-br]").wait_for()
    assert visitor.page.evaluate(background) != before
    visitor.go("/")
    assert visitor.page.locator("html").get_attribute("lang") == "pt-br"
    assert visitor.complaints == []


def test_whoever_is_new_is_spoken_to_in_the_language_of_their_browser(visit: Visit, member: User) -> None:
    visitor = visit(locale="pt-BR")
    visitor.go("/account/login/")
    assert visitor.page.locator("html").get_attribute("lang") == "pt-br"


def test_everything_goes_by_keyboard_alone(visit: Visit, member: User) -> None:
    visitor = visit()
    visitor.go("/account/login/")
    keyboard = visitor.page.keyboard
    for _skip_link_and_brand in range(3):
        keyboard.press("Tab")
    keyboard.type("member")
    keyboard.press("Tab")
    keyboard.type("member-password-1")
    keyboard.press("Enter")
    assert visitor.sees("Your work of the last 24 hours")
    visitor.go("/keys/new/")
    keyboard.press("Tab")
    keyboard.press("Enter")
    assert visitor.page.evaluate("document.activeElement.id") == "main"
    keyboard.press("Tab")
    keyboard.type("by keyboard")
    keyboard.press("Enter")
    assert visitor.sees("Copy it now")


PAGES = [
    "/keys/", "/keys/new/", "/settings/", "/account/password/change/", "/account/sessions/", "/account/two-factor/",
    "/account/two-factor/recovery-codes/", "/account/two-factor/recovery-codes/generate/",
    "/account/two-factor/totp/deactivate/", "/account/logout/", "/nothing-here/",
]  # fmt: skip
OPEN_PAGES = ["/account/login/", "/account/password/reset/", "/account/password/reset/done/",
    "/account/password/reset/key/1-abc/", "/account/password/reset/key/done/", "/account/inactive/"]  # fmt: skip


def test_no_page_has_a_fault_for_those_who_see_or_hear_it_otherwise(visit: Visit, member: User) -> None:
    visitor = visit()
    faults: dict[str, list[str]] = {}
    for path in OPEN_PAGES:
        visitor.go(path)
        faults[path] = visitor.faults()
    visitor.sign_in("member")
    turn_on_second_factor(visitor)
    faults["recovery codes"] = visitor.faults()
    for path in PAGES:
        visitor.go(path)
        faults[path] = visitor.faults()
    visitor.go("/keys/new/")
    visitor.press("Make the key")
    visitor.fill("Name", "a-name-without-a-place-to-break-it-" * 2)
    visitor.press("Make the key")
    faults["issued"] = visitor.faults()
    visitor.go("/keys/")
    faults["a long name"] = visitor.faults()
    assert {path: found for path, found in faults.items() if found} == {}
    assert visitor.complaints == []
