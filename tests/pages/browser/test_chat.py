"""The chat in a real browser, on a whole platform."""

from __future__ import annotations

import re
import time

import pytest
from axe_playwright_python.sync_playwright import Axe
from playwright.sync_api import Page, expect

from tests.pages.browser.chat_site import (  # noqa: F401 (fixtures)
    Visit,
    Visits,
    chat_site,
    chromium,
    session_key,
    visit,
    visits,
)
from tests.site import Site

pytestmark = [pytest.mark.browser, pytest.mark.timeout(180)]


def test_a_message_streams_and_becomes_markdown(visit: Visit) -> None:
    page = visit.begin("echo", "**bold** and `code`\n\n- one\n- two")
    visit.answered()
    answer = page.locator(".chat-answer .chat-markdown")
    expect(answer.locator("strong")).to_have_text("bold")
    expect(answer.locator("li")).to_have_count(2)
    page.fill("#text", "again")
    page.press("#text", "Enter")
    expect(page.locator("#text")).to_have_value("")
    visit.answered(2)
    expect(page.locator(".chat-answer .chat-markdown").nth(1)).to_have_text("again")
    expect(page.locator("#announcer")).to_have_text("Echo. again")
    assert page.evaluate("document.activeElement.id") == "text"
    assert (visit.console, visit.foreign) == ([], [])
