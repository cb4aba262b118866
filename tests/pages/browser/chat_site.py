"""A whole platform with scripted agents, and a browser in which `admin` is signed in."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from urllib.parse import urlsplit

import pytest
from playwright.sync_api import Browser, BrowserContext, ConsoleMessage, Dialog, Page, Request

from tests.site import Site, running

ENVIRON = {"MUTIRAO_APPS": "tests.parts", "MUTIRAO_ALLOW_SCRIPTED_MODELS": "1", "MUTIRAO_SWEEP_SECONDS": "0.5"}

PREPARE = """
from agents.definitions.services import create_agent, sync_agents
sync_agents()
create_agent(slug="patient", name="Patient", description="Speaks slowly.", model="scripted:slow",
    parameters={"pieces": 60, "delay": 0.1})
create_agent(slug="broken", name="Broken", description="Never manages.", model="scripted:fail",
    parameters={"error": "rejected", "delay": 0.5})
create_agent(slug="tooler", name="Tooler", description="Uses its tools.", model="scripted:tools",
    tools=["calculate", "current_time"])
create_agent(slug="fumbler", name="Fumbler", description="Uses its tool wrongly.", model="scripted:tools",
    tools=["calculate"], parameters={"args": {"calculate": {
        "expression": "<img src=//evil.example/x onerror=alert(1)><script>alert(2)</script>"}}})
"""
SIGN_IN = """
from importlib import import_module
from django.conf import settings
from django.contrib.auth import BACKEND_SESSION_KEY, HASH_SESSION_KEY, SESSION_KEY
from accounts.models import User
user = User.objects.get(username="admin")
session = import_module(settings.SESSION_ENGINE).SessionStore()
session[SESSION_KEY] = str(user.pk)
session[BACKEND_SESSION_KEY] = settings.AUTHENTICATION_BACKENDS[0]
session[HASH_SESSION_KEY] = user.get_session_auth_hash()
session.create()
print("session", session.session_key)
"""


@dataclass
class Visit:
    """A page of the browser and what happened in it: requests that left, dialogs, words on the console."""

    page: Page
    site: Site
    foreign: list[str] = field(default_factory=list)
    dialogs: list[str] = field(default_factory=list)
    console: list[str] = field(default_factory=list)

    def __post_init__(self) -> None:
        self.page.on("request", self._request)
        self.page.on("dialog", self._dialog)
        self.page.on("console", self._console)
        self.page.on("pageerror", lambda error: self.console.append(str(error)))

    def _request(self, request: Request) -> None:
        if urlsplit(request.url).hostname not in ("127.0.0.1", None):
            self.foreign.append(request.url)

    def _dialog(self, dialog: Dialog) -> None:
        self.dialogs.append(dialog.message)
        dialog.dismiss()

    def _console(self, message: ConsoleMessage) -> None:
        if message.type in ("error", "warning"):
            self.console.append(message.text)

    def open(self, path: str) -> Page:
        """Goes there."""
        self.page.goto(f"http://127.0.0.1:{self.site.port}{path}")
        return self.page

    def begin(self, agent: str, text: str) -> Page:
        """Begins a conversation; the page is that of the conversation when this returns."""
        self.open(f"/chat/?agent={agent}")
        self.page.fill("#text", text)
        self.page.press("#text", "Enter")
        self.page.wait_for_url("**/chat/*-*/")
        return self.page

    def answered(self, count: int = 1) -> None:
        """Waits until so many answers stand there and none is being written."""
        self.page.wait_for_function(
            "count => document.querySelectorAll('.chat-turn').length >= count"
            " && !document.querySelector('.chat-pending')",
            arg=count,
        )


Visits = Callable[..., Visit]


@pytest.fixture(scope="session")
def chat_site(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Site]:
    """The platform. On the embedded parts, whatever the suite was told: what is tested here is the page."""
    with running(tmp_path_factory.mktemp("chat"), **ENVIRON) as site:
        prepared = site.manage("shell", "-c", PREPARE)
        assert prepared.returncode == 0, prepared.stderr
        yield site


@pytest.fixture(scope="session")
def session_key(chat_site: Site) -> str:
    """A session of `admin`."""
    signed_in = chat_site.manage("shell", "-c", SIGN_IN)
    assert signed_in.returncode == 0, signed_in.stderr
    return signed_in.stdout.split("session ")[-1].strip()


@pytest.fixture
def chats(chat_site: Site, browser: Browser, session_key: str) -> Iterator[Visits]:
    """Opens pages in a context of their own, with any of Playwright's options (`viewport`, `color_scheme`, …)."""
    contexts: list[BrowserContext] = []

    def make(**options: object) -> Visit:
        context = browser.new_context(**({"locale": "en-US"} | options))  # type: ignore[arg-type]
        context.grant_permissions(["clipboard-read", "clipboard-write"])
        context.set_default_timeout(20_000)
        context.add_cookies(
            [{"name": "sessionid", "value": session_key, "domain": "127.0.0.1", "path": "/", "httpOnly": True}]
        )
        contexts.append(context)
        return Visit(context.new_page(), chat_site)

    yield make
    for context in contexts:
        context.close()


@pytest.fixture
def chat(chats: Visits) -> Visit:
    """One page, as wide as a desk allows."""
    return chats(viewport={"width": 1360, "height": 860})
