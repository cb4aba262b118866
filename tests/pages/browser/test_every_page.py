"""Every page in a real browser: nothing that keeps people out, nothing that the policy had to stop, nothing cut off."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import pytest
from axe_playwright_python.sync_playwright import Axe
from playwright.sync_api import Browser, ConsoleMessage, Page

from tests.screenshots.pages import ALONE, PAGES, SIZES, names_of, open_page, sign_in
from tests.site import Site, running

pytestmark = pytest.mark.browser
LOOKS = (("desktop", "light", "en"), ("phone", "dark", "pt-BR"))
BAD = ("serious", "critical")
# The theme of the admin is Unfold's and the API's description is Swagger's; what they lack is reported there.
OURS = tuple(address for address in PAGES if not address.startswith(("/admin/", "/api/")))


@dataclass(frozen=True)
class Seen:
    """A page, and what its console has said so far."""

    page: Page
    said: list[str]
    names: dict[str, str]


@pytest.fixture(scope="module")
def seeded(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[Site, str, dict[str, str]]]:
    """A platform after a believable day, with the password of its people."""
    with running(tmp_path_factory.mktemp("pages"), MUTIRAO_APPS="tests.parts") as site:
        made = site.manage("seed_day")
        assert made.returncode == 0, made.stderr
        site.make_key()
        yield site, made.stdout.strip(), names_of(site)


@pytest.fixture(scope="module", params=LOOKS, ids=lambda look: "-".join(look))
def seen(request: Any, seeded: tuple[Site, str, dict[str, str]], browser: Browser) -> Iterator[Seen]:
    """A page that is signed in as Ana, who operates."""
    site, password, names = seeded
    page = open_page(browser, site, *request.param)
    said: list[str] = []
    page.on("console", lambda message: said.append(_told(message)))
    page.on("pageerror", lambda error: said.append(str(error)))
    sign_in(page, "ana", password)
    yield Seen(page, said, names)
    page.context.close()


def _told(message: ConsoleMessage) -> str:
    return f"{message.type}: {message.text}"


def _faults(page: Page) -> list[str]:
    found = Axe().run(page).response["violations"]
    return [
        f"{fault['id']}: {node['html'][:160]}" for fault in found if fault["impact"] in BAD for node in fault["nodes"]
    ]


@pytest.mark.parametrize("address", OURS)
def test_a_page_keeps_nobody_out_and_obeys_the_policy(seen: Seen, address: str) -> None:
    seen.said.clear()
    response = seen.page.goto(address.format(**seen.names))
    assert response is not None
    assert response.status == (404 if address == "/nowhere/" else 200)
    seen.page.wait_for_load_state("load")
    assert _faults(seen.page) == []
    width = seen.page.evaluate("document.documentElement.scrollWidth")
    assert width <= seen.page.viewport_size["width"]  # type: ignore[index]
    wrong = [line for line in seen.said if line.startswith("error") or "Content Security Policy" in line]
    # Whoever asks for a page that is not there is told so in the console too.
    assert [line for line in wrong if "404" not in line or address != "/nowhere/"] == []


@pytest.mark.parametrize("address", [address for address in PAGES if address not in OURS])
def test_a_page_of_a_librarys_obeys_its_policy(seen: Seen, address: str) -> None:
    seen.said.clear()
    seen.page.goto(address.format(**seen.names))
    seen.page.wait_for_load_state("load")
    assert [line for line in seen.said if "Content Security Policy" in line] == []


@pytest.mark.parametrize("address", ALONE)
def test_pages_before_signing_in_keep_nobody_out(seeded: Any, browser: Browser, address: str) -> None:
    for size in SIZES:
        page = open_page(browser, seeded[0], size, "light", "en")
        page.goto(address)
        assert _faults(page) == []
        page.context.close()


def test_a_page_is_reached_by_keyboard_alone(seen: Seen) -> None:
    seen.page.goto("/tasks/")
    seen.page.keyboard.press("Tab")
    assert seen.page.evaluate("document.activeElement.className") == "skip"
    seen.page.keyboard.press("Enter")
    assert seen.page.evaluate("document.activeElement.id") == "main"
    seen.page.keyboard.press("Tab")
    assert seen.page.evaluate("document.activeElement.name") == "q"
