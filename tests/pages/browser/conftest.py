"""A real browser against a real server on the test database.

The tests are plain functions: Playwright's synchronous API keeps an event loop in their thread, which is also why
Django has to be told that its ORM may be used there.
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field

import pytest
import uvicorn
from axe_playwright_python.sync_playwright import Axe
from django.contrib.staticfiles.handlers import ASGIStaticFilesHandler
from django.http import FileResponse, HttpRequest, HttpResponse
from playwright.sync_api import Browser, ConsoleMessage, Page, sync_playwright

from mutirao.asgi import application
from mutirao.embedded import free_port
from tests.screenshots.browser import launched

DESKTOP, PHONE = {"width": 1280, "height": 800}, {"width": 360, "height": 780}
STEP_MS = 10_000


class WholeFiles(ASGIStaticFilesHandler):
    """Reads every file at once: a browser that leaves in the middle leaves no open one behind."""

    def serve(self, request: HttpRequest) -> HttpResponse | FileResponse:
        """The answer, with nothing left to be closed."""
        found = super().serve(request)
        if not isinstance(found, FileResponse):
            return found
        try:
            return HttpResponse(found.getvalue(), headers=found.headers)
        finally:
            found.close()


@pytest.fixture(scope="module")
def browser(django_db_setup: None) -> Iterator[Browser]:
    """One for each module, and none afterwards: its loop would be in the way of every asynchronous test that follows.

    Without Chromium these tests fail: what a person sees is not an extra.
    """
    with pytest.MonkeyPatch.context() as patch, sync_playwright() as playwright, launched(playwright) as started:
        patch.setenv("DJANGO_ALLOW_ASYNC_UNSAFE", "1")
        yield started


@pytest.fixture
def live(browser: Browser, transactional_db: None) -> Iterator[str]:
    """The address of a web process, in a thread of this one, on the database of this test."""
    with_files = WholeFiles(application)  # type: ignore[arg-type]  # any ASGI application will do
    config = uvicorn.Config(with_files, port=free_port(), log_level="error", lifespan="on", ws="none")
    server = uvicorn.Server(config)
    thread = threading.Thread(target=server.run, name="live server")
    thread.start()
    while not server.started:
        assert thread.is_alive(), "the server ended while it was starting"
        thread.join(0.01)
    yield f"http://127.0.0.1:{config.port}"
    server.should_exit = True
    thread.join()


@dataclass
class Visitor:
    """Somebody with a browser window. `complaints` is what the console said: refused content, broken scripts."""

    page: Page
    address: str
    complaints: list[str] = field(default_factory=list)

    def go(self, path: str) -> None:
        """Opens a page of ours."""
        self.page.goto(self.address + path)

    def press(self, label: str) -> None:
        """The button or link of this name."""
        self.page.locator("main").get_by_role("button", name=label).or_(
            self.page.locator("main").get_by_role("link", name=label)
        ).first.click()

    def fill(self, label: str, text: str) -> None:
        """The field of this label."""
        self.page.get_by_label(label, exact=True).fill(text)

    def sign_in(self, name: str, password: str = "") -> None:
        """By the form; the cast's passwords follow from their names."""
        self.go("/account/login/")
        self.fill("Name or mail address", name)
        self.fill("Password", password or f"{name}-password-1")
        self.press("Sign in")

    def sees(self, text: str) -> bool:
        """Waits until the text is on the page."""
        self.page.get_by_text(text).first.wait_for()
        return True

    def faults(self) -> list[str]:
        """What axe-core finds here, on a desk in light and on a phone in the dark, and what is cut off there."""
        found: list[str] = []
        for size, scheme in ((DESKTOP, "light"), (PHONE, "dark")):
            self.page.set_viewport_size(size)  # type: ignore[arg-type]
            self.page.emulate_media(color_scheme=scheme)  # type: ignore[arg-type]
            found += [
                f"{scheme}: {fault['id']} {fault['nodes'][0]['html'][:120]}"
                for fault in Axe().run(self.page).response["violations"]
            ]
            if self.page.evaluate("document.documentElement.scrollWidth > document.documentElement.clientWidth"):
                found.append(f"{scheme}: wider than the window")
        return found


@pytest.fixture
def visit(browser: Browser, live: str) -> Iterator[Callable[..., Visitor]]:
    """Opens windows that know nothing of each other; `locale` is the language that the browser asks for."""
    contexts = []

    def open_window(locale: str = "en-US") -> Visitor:
        context = browser.new_context(locale=locale, viewport=DESKTOP)  # type: ignore[arg-type]
        context.set_default_timeout(STEP_MS)
        context.grant_permissions(["clipboard-read", "clipboard-write"])
        contexts.append(context)
        visitor = Visitor(context.new_page(), live)

        def listen(message: ConsoleMessage) -> None:
            # A form that is answered with 404 or 403 is no complaint about the page.
            if message.type in {"error", "warning"} and "Failed to load resource" not in message.text:
                visitor.complaints.append(message.text)

        visitor.page.on("console", listen)
        visitor.page.on("pageerror", lambda error: visitor.complaints.append(str(error)))
        return visitor

    yield open_window
    for context in contexts:
        context.close()
