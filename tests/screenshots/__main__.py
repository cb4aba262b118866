"""`make screenshots`: every page, phone and desktop, light and dark, both languages, after a believable day.

Writes to var/screenshots/. With --docs it takes the pictures in docs/images/ instead: the overview for the README, and
what docs/access.md shows, at the width of a desk and of a phone. Needs Chromium (apt install chromium, or
CHROMIUM=/path).
"""

from __future__ import annotations

import argparse
import re
import sys
import tempfile
from collections.abc import Iterator, Sequence
from pathlib import Path

from playwright.sync_api import Browser, Page, sync_playwright

from tests.screenshots.browser import launched
from tests.screenshots.pages import ALONE, LOOKS, PAGES, SIZES, access_pages, names_of, open_page, sign_in
from tests.site import ROOT, Site, running

IMAGES = ROOT / "docs" / "images"
ADMINS = "the-password-of-admin-1"


def main() -> None:
    parser = argparse.ArgumentParser(prog="make screenshots")
    parser.add_argument("--to", type=Path, default=ROOT / "var" / "screenshots")
    parser.add_argument("--look", action="append", choices=LOOKS, help="may be repeated (default: all)")
    parser.add_argument("--docs", action="store_true", help="replace the pictures in docs/images instead")
    options = parser.parse_args()
    with (
        tempfile.TemporaryDirectory(prefix="mutirao-screenshots-") as folder,
        running(Path(folder), MUTIRAO_APPS="tests.parts", MUTIRAO_ADMIN_PASSWORD=ADMINS) as site,
        sync_playwright() as playwright,
        launched(playwright) as browser,
    ):
        seeded = site.manage("seed_day")
        assert seeded.returncode == 0, seeded.stderr
        site.make_key()
        password = seeded.stdout.strip()
        if options.docs:
            _for_readme(site, browser, password)
            made, to = _for_access(site, browser), IMAGES
        else:
            made, to = _pictures(site, browser, options.look or LOOKS, options.to, password), options.to
        sys.stdout.write(f"{sum(1 for _ in made)} pictures in {to}\n")


def _pictures(site: Site, browser: Browser, looks: Sequence[str], to: Path, password: str) -> Iterator[Path]:
    names = names_of(site)
    for look in looks:
        folder = to / look
        folder.mkdir(parents=True, exist_ok=True)
        page = open_page(browser, site, *look.split("-", 2))
        for address in ALONE:
            yield _take(page, address, folder)
        sign_in(page, "ana", password)
        for address in PAGES:
            yield _take(page, address.format(**names), folder)
        page.context.close()


def _take(page: Page, address: str, folder: Path) -> Path:
    page.goto(address)
    page.wait_for_load_state("load")
    if address == "/api/v1/docs":
        page.locator(".swagger-ui .info").wait_for()
    name = re.sub(r"[0-9a-f-]{36}", "one", address).strip("/").replace("/", "-").replace("?", "-") or "overview"
    file = folder / f"{name}.png"
    page.screenshot(path=file, full_page=True)
    return file


def _for_readme(site: Site, browser: Browser, password: str) -> None:
    page = open_page(browser, site, "desktop", "light", "en")
    sign_in(page, "ana", password)
    page.goto("/")
    page.screenshot(path=IMAGES / "overview.png")


def _for_access(site: Site, browser: Browser) -> Iterator[Path]:
    """What an administrator sees of users, roles, keys, quotas, grants and the audit."""
    addresses = access_pages(site)
    for size in SIZES:
        page = open_page(browser, site, size, "light", "en")
        # High enough for what matters, without the bar of buttons in the middle.
        page.set_viewport_size({"width": SIZES[size][0], "height": 1300})
        sign_in(page, "admin", ADMINS)
        for name, address in addresses.items():
            page.goto(address)
            page.wait_for_load_state("load")
            file = IMAGES / "access" / f"{name}-{size}.jpg"
            file.parent.mkdir(exist_ok=True)
            page.screenshot(path=file, type="jpeg", quality=60)
            yield file
        page.context.close()


if __name__ == "__main__":
    main()
