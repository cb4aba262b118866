"""`make screenshots`: every page, phone and desktop, light and dark, both languages, after a believable day.

Writes to var/screenshots/; with --readme it also replaces docs/images/overview.png. Needs Chromium (apt install
chromium, or CHROMIUM=/path).
"""

from __future__ import annotations

import argparse
import re
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path

from playwright.sync_api import Browser, Page, sync_playwright

from tests.screenshots.browser import launched
from tests.site import ROOT, Site, running

SIZES = {"desktop": (1280, 900), "phone": (360, 780)}
SCHEMES = ("light", "dark")
LANGUAGES = ("en", "pt-BR")
ALONE = ("/account/login/", "/account/password/reset/")
PAGES = (
    "/", "/chat/", "/chat/{conversation}/", "/agents/", "/agents/assistant/", "/tasks/", "/tasks/?status=failed",
    "/tasks/{failed}/", "/tasks/{succeeded}/", "/tasks/{running}/cancel/", "/keys/", "/settings/",
    "/account/two-factor/", "/admin/", "/admin/agents_tasks/task/", "/admin/agents_tasks/task/{failed}/change/",
    "/nowhere/",
)  # fmt: skip


def main() -> None:
    parser = argparse.ArgumentParser(prog="make screenshots")
    parser.add_argument("--to", type=Path, default=ROOT / "var" / "screenshots")
    parser.add_argument("--readme", action="store_true", help="replace the picture in the README")
    options = parser.parse_args()
    with (
        tempfile.TemporaryDirectory(prefix="mutirao-screenshots-") as folder,
        running(Path(folder), MUTIRAO_APPS="tests.parts") as site,
        sync_playwright() as playwright,
        launched(playwright) as browser,
    ):
        seeded = site.manage("seed_day")
        assert seeded.returncode == 0, seeded.stderr
        site.make_key()
        password = seeded.stdout.strip()
        taken = sum(1 for _ in _pictures(site, browser, options.to, password))
        if options.readme:
            _for_readme(site, browser, password)
    sys.stdout.write(f"{taken} pictures in {options.to}\n")


def _pictures(site: Site, browser: Browser, to: Path, password: str) -> Iterator[Path]:
    names = _names(site)
    for size, scheme in ((size, scheme) for size in SIZES for scheme in SCHEMES):
        for language in LANGUAGES:
            folder = to / language / f"{size}-{scheme}"
            folder.mkdir(parents=True, exist_ok=True)
            page = _page(browser, site, size, scheme, language)
            for address in ALONE:
                yield _take(page, address, folder)
            sign_in(page, "ana", password)
            for address in PAGES:
                yield _take(page, address.format(**names), folder)
            page.context.close()


def _page(browser: Browser, site: Site, size: str, scheme: str, language: str) -> Page:
    width, height = SIZES[size]
    context = browser.new_context(
        base_url=f"http://127.0.0.1:{site.port}", viewport={"width": width, "height": height},
        color_scheme=scheme, locale=language,  # type: ignore[arg-type]
    )  # fmt: skip
    return context.new_page()


def sign_in(page: Page, name: str, password: str) -> None:
    """Through the form, as a person does."""
    page.goto("/account/login/")
    page.fill("input[name=login]", name)
    page.fill("input[name=password]", password)
    page.press("input[name=password]", "Enter")
    page.wait_for_url("**/")


def _take(page: Page, address: str, folder: Path) -> Path:
    page.goto(address)
    page.wait_for_load_state("load")
    name = re.sub(r"[0-9a-f-]{36}", "one", address).strip("/").replace("/", "-").replace("?", "-") or "overview"
    file = folder / f"{name}.png"
    page.screenshot(path=file, full_page=True)
    return file


def _names(site: Site) -> dict[str, str]:
    """What stands for the names in the addresses: a task in each of some states, a conversation of Ana's."""
    states = ("failed", "succeeded", "running")
    found = {
        state: site.request("GET", f"/api/v1/tasks?status={state}&page_size=1")[1]["results"][0]["id"]
        for state in states
    }
    site.make_key("ana")
    conversations = site.request("GET", "/api/v1/conversations?search=parcel")[1]["results"]
    return found | {"conversation": conversations[0]["id"]}


def _for_readme(site: Site, browser: Browser, password: str) -> None:
    page = _page(browser, site, "desktop", "light", "en")
    sign_in(page, "ana", password)
    page.goto("/")
    page.screenshot(path=ROOT / "docs" / "images" / "overview.png")


if __name__ == "__main__":
    main()
