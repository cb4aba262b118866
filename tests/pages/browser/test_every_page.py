"""Every page in a real browser: nothing that keeps people out, nothing that the policy had to stop, nothing cut off."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import pytest
from axe_playwright_python.sync_playwright import Axe
from playwright.sync_api import Browser, ConsoleMessage, Locator, Page

from tests.pages.browser.keyboard import walk
from tests.screenshots.pages import ALONE, PAGES, SIZES, names_of, open_page, sign_in
from tests.site import Site, running

pytestmark = pytest.mark.browser
LOOKS = (("desktop", "light", "en"), ("phone", "dark", "pt-BR"))
BAD = ("serious", "critical")
# The API's description is Swagger's; what it lacks is reported there.
OURS = tuple(address for address in PAGES if not address.startswith(("/admin/", "/api/")))
# What an administrator works with; `…` is the first row of the list, or the page of it that follows.
ADMIN_PAGES = (
    "/admin/", "/admin/agents_tasks/task/?status__exact=failed", "/admin/agents_tasks/task/…",
    "/admin/agents_definitions/agent/", "/admin/agents_definitions/agent/…", "/admin/agents_definitions/agent/add/",
    "/admin/accounts/user/", "/admin/accounts/user/…", "/admin/accounts/user/…data/", "/admin/accounts/role/",
    "/admin/accounts/role/…",
    "/admin/accounts/apikey/", "/admin/accounts/apikey/…", "/admin/accounts/apikey/add/",
    "/admin/accounts/apisession/", "/admin/accounts/serviceaccount/", "/admin/accounts/serviceaccount/add/",
    "/admin/accounts/auditevent/", "/admin/accounts/auditevent/…", "/admin/accounts/auditseal/",
    "/admin/agents_memory/conversation/…",
    "/admin/agents_gateway/modelcall/…", "/admin/agents_worker/workerprocess/", "/admin/telemetry/span/",
)  # fmt: skip
PASSWORD = "the-password-of-admin-1"
ENVIRON = {
    "MUTIRAO_APPS": "tests.parts", "MUTIRAO_ALLOW_SCRIPTED_MODELS": "1", "MUTIRAO_ADMIN_PASSWORD": PASSWORD,
}  # fmt: skip


@dataclass(frozen=True)
class Seen:
    """A page, and what its console has said so far."""

    page: Page
    said: list[str]
    names: dict[str, str]


Seeded = tuple[Site, str, dict[str, str]]


@pytest.fixture(scope="module")
def seeded(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Seeded]:
    """A platform after a believable day, with the password of its people."""
    with running(tmp_path_factory.mktemp("pages"), **ENVIRON) as site:
        made = site.manage("seed_day")
        assert made.returncode == 0, made.stderr
        site.make_key()
        yield site, made.stdout.strip(), names_of(site)


def _seen(seeded: Seeded, browser: Browser, look: tuple[str, str, str], name: str) -> Iterator[Seen]:
    site, password, names = seeded
    page = open_page(browser, site, *look)
    said: list[str] = []
    page.on("console", lambda message: said.append(_told(message)))
    page.on("pageerror", lambda error: said.append(str(error)))
    sign_in(page, name, PASSWORD if name == "admin" else password)
    yield Seen(page, said, names)
    page.context.close()


@pytest.fixture(scope="module", params=LOOKS, ids=lambda look: "-".join(look))
def seen(request: Any, seeded: Seeded, browser: Browser) -> Iterator[Seen]:
    """A page that is signed in as Ana, who operates."""
    yield from _seen(seeded, browser, request.param, "ana")


@pytest.fixture(scope="module", params=LOOKS, ids=lambda look: "-".join(look))
def administered(request: Any, seeded: Seeded, browser: Browser) -> Iterator[Seen]:
    """A page that is signed in as admin."""
    yield from _seen(seeded, browser, request.param, "admin")


@pytest.fixture(scope="module")
def at_a_desk(seeded: Seeded, browser: Browser) -> Iterator[Seen]:
    """A page that is signed in as Ana, on a desk: where there are keys."""
    yield from _seen(seeded, browser, LOOKS[0], "ana")


@pytest.fixture(scope="module")
def admin_at_a_desk(seeded: Seeded, browser: Browser) -> Iterator[Seen]:
    """A page that is signed in as admin, on a desk."""
    yield from _seen(seeded, browser, LOOKS[0], "admin")


def _told(message: ConsoleMessage) -> str:
    return f"{message.type}: {message.text}"


def _faults(page: Page) -> list[str]:
    found = Axe().run(page).response["violations"]
    return [
        f"{fault['id']}: {node['html'][:160]}" for fault in found if fault["impact"] in BAD for node in fault["nodes"]
    ]


def _open(seen: Seen, address: str) -> int:
    """Goes there; gives the status."""
    seen.said.clear()
    path, first_row, its_page = address.partition("…")
    response = seen.page.goto(path.format(**seen.names))
    if first_row:
        found = seen.page.locator("#result_list tbody a[href*='/change/']").first.get_attribute("href")
        assert found is not None
        response = seen.page.goto(found.partition("change/")[0] + its_page if its_page else found)
    seen.page.wait_for_load_state("load")
    assert response is not None
    return response.status


def _keeps_nobody_out(seen: Seen, *, is_absent: bool = False) -> None:
    assert _faults(seen.page) == []
    width = seen.page.evaluate("document.documentElement.scrollWidth")
    assert width <= seen.page.viewport_size["width"]  # type: ignore[index]
    wrong = [line for line in seen.said if line.startswith("error") or "Content Security Policy" in line]
    # Whoever asks for a page that is not there is told so in the console too.
    assert [line for line in wrong if "404" not in line or not is_absent] == []


@pytest.mark.parametrize("address", OURS)
def test_a_page_keeps_nobody_out_and_obeys_the_policy(seen: Seen, address: str) -> None:
    assert _open(seen, address) == (404 if address == "/nowhere/" else 200)
    _keeps_nobody_out(seen, is_absent=address == "/nowhere/")


@pytest.mark.parametrize("address", ADMIN_PAGES)
def test_a_page_of_the_admin_keeps_nobody_out_and_obeys_the_policy(administered: Seen, address: str) -> None:
    assert _open(administered, address) == 200
    _keeps_nobody_out(administered)


def test_the_apis_description_obeys_its_policy(seen: Seen) -> None:
    _open(seen, "/api/v1/docs")
    assert [line for line in seen.said if "Content Security Policy" in line] == []


@pytest.mark.parametrize("address", ALONE)
def test_pages_before_signing_in_keep_nobody_out(seeded: Any, browser: Browser, address: str) -> None:
    for size in SIZES:
        page = open_page(browser, seeded[0], size, "light", "en")
        page.goto(address)
        assert _faults(page) == []
        assert walk(page).faults == []
        page.context.close()


@pytest.mark.parametrize("address", OURS)
def test_tab_alone_reaches_everything_once_visibly_and_ends(at_a_desk: Seen, address: str) -> None:
    _open(at_a_desk, address)
    walked = walk(at_a_desk.page)
    assert walked.faults == []
    assert walked.steps >= 3


@pytest.mark.parametrize("address", ADMIN_PAGES)
def test_tab_alone_reaches_everything_in_the_admin_too(admin_at_a_desk: Seen, address: str) -> None:
    _open(admin_at_a_desk, address)
    walked = walk(admin_at_a_desk.page)
    assert walked.faults == []
    assert walked.steps >= 15


def _tab_to(wanted: Locator, *, most: int = 80) -> None:
    """Presses Tab until the focus is there."""
    for _ in range(most):
        wanted.page.keyboard.press("Tab")
        if wanted.evaluate("element => element === document.activeElement"):
            return
    raise AssertionError(f"Tab does not reach {wanted}")


def test_a_message_is_sent_and_the_help_read_and_left_by_keyboard_alone(at_a_desk: Seen) -> None:
    page, keyboard = at_a_desk.page, at_a_desk.page.keyboard
    _open(at_a_desk, "/chat/?agent=echo")
    # The focus goes into the message by itself, a moment after loading; what is typed before that would be lost.
    page.wait_for_function("document.activeElement?.id === 'text'")
    keyboard.type("by keyboard")
    keyboard.press("Enter")
    page.wait_for_url("**/chat/*-*/")
    # The worker may still be starting.
    page.locator(".chat-answer .chat-markdown").get_by_text("by keyboard").wait_for(timeout=60_000)
    _tab_to(page.get_by_role("button", name="Keyboard shortcuts"))
    keyboard.press("Enter")
    page.get_by_role("dialog").wait_for()
    keyboard.press("Escape")
    page.get_by_role("dialog").wait_for(state="hidden")
    # Whoever leaves it is where they were.
    assert page.evaluate("document.activeElement.hasAttribute('data-help')")


def test_a_task_is_submitted_and_cancelled_by_keyboard_alone(at_a_desk: Seen) -> None:
    page, keyboard = at_a_desk.page, at_a_desk.page.keyboard
    _open(at_a_desk, "/agents/traveller/")
    _tab_to(page.get_by_label("What shall it do?"))
    keyboard.type('{"name": "by-keyboard", "steps": []}')
    _tab_to(page.get_by_role("button", name="Submit"))
    keyboard.press("Enter")
    page.wait_for_url("**/tasks/*-*/")
    _tab_to(page.get_by_role("link", name="Cancel"))
    keyboard.press("Enter")
    page.wait_for_url("**/cancel/")
    _tab_to(page.get_by_role("button", name="Yes, cancel it"))
    keyboard.press("Enter")
    page.get_by_text("The task is cancelled, or stops at its next step.").wait_for()


def test_a_key_is_issued_by_keyboard_alone(at_a_desk: Seen) -> None:
    page, keyboard = at_a_desk.page, at_a_desk.page.keyboard
    _open(at_a_desk, "/keys/")
    _tab_to(page.get_by_role("link", name="New key"))
    keyboard.press("Enter")
    page.wait_for_url("**/keys/new/")
    _tab_to(page.get_by_label("Name"))
    keyboard.type("by keyboard")
    _tab_to(page.get_by_label("see agents"))
    keyboard.press("Space")
    _tab_to(page.get_by_role("button", name="Make the key"))
    keyboard.press("Enter")
    page.locator("#new-key").wait_for()
    assert page.locator("#new-key").inner_text().startswith("mut_")
    _tab_to(page.get_by_role("link", name="I have it"))
    keyboard.press("Enter")
    page.get_by_role("heading", name="by keyboard").wait_for()
    page.get_by_text("agents:read").or_(page.get_by_text("see agents")).first.wait_for()


def test_the_menu_of_the_admin_opens_and_escape_leaves_it(admin_at_a_desk: Seen) -> None:
    page, keyboard = admin_at_a_desk.page, admin_at_a_desk.page.keyboard
    _open(admin_at_a_desk, "/admin/")
    menu, last = page.locator(".mu-person"), page.get_by_role("button", name="Log out")
    _tab_to(menu)
    keyboard.press("Enter")
    last.wait_for()
    assert menu.get_attribute("aria-expanded") == "true"
    keyboard.press("Escape")
    last.wait_for(state="hidden")
    assert menu.evaluate("element => element === document.activeElement")


def test_the_skip_link_leads_to_the_content(seen: Seen) -> None:
    seen.page.goto("/tasks/")
    seen.page.keyboard.press("Tab")
    assert seen.page.evaluate("document.activeElement.className") == "skip"
    seen.page.keyboard.press("Enter")
    assert seen.page.evaluate("document.activeElement.id") == "main"
    seen.page.keyboard.press("Tab")
    assert seen.page.evaluate("document.activeElement.name") == "q"
