"""Markdown as safe HTML."""

from __future__ import annotations

import re
import time
from html.parser import HTMLParser

import pytest

from mutirao.pages.markdown import TAGS, render
from tests.pages.payloads import PAYLOADS

Attributes = list[tuple[str, str | None]]
GROSS_SECONDS = 3.0


class Elements(HTMLParser):
    """What a browser would make of it."""

    def __init__(self, html: str) -> None:
        super().__init__()
        self.found: list[tuple[str, Attributes]] = []
        self.feed(html)

    def handle_starttag(self, tag: str, attrs: Attributes) -> None:
        self.found.append((tag, attrs))


def _html(text: str) -> str:
    html = render(text)
    assert html is not None
    return str(html)


def test_what_people_write_in_markdown_is_shown() -> None:
    html = _html("# T\n\n**b** *i* ~~s~~ `c`\nnext\n\n1. x\n2. y\n\n> q\n\n|a|b|\n|-|-|\n|1|2|\n\n```py\nx < 1\n```")
    for part in ("<h1>T</h1>", "<strong>b</strong>", "<em>i</em>", "<s>s</s>", "<code>c</code><br>", "<ol>", "<td>2"):
        assert part in html, part
    assert "<blockquote>" in html
    assert "<pre><code>x &lt; 1\n</code></pre>" in html


@pytest.mark.parametrize("payload", PAYLOADS)
def test_nothing_scripts_frames_or_loads(payload: str) -> None:
    for tag, attributes in Elements(_html(payload)).found:
        assert tag in TAGS
        given = dict(attributes)
        assert given.keys() <= {"href", "rel", "target", "start"}
        assert re.match(r"(https?://|mailto:)", given.get("href") or "https://")


def test_links_open_elsewhere_and_tell_nothing() -> None:
    [(_, link), (_, paragraph)] = sorted(Elements(_html("[x](https://a.example/?q=1&b=2)")).found)[::1]
    assert paragraph == []
    assert dict(link) == {
        "href": "https://a.example/?q=1&b=2", "target": "_blank", "rel": "noopener noreferrer nofollow",
    }  # fmt: skip


@pytest.mark.parametrize("address", ["/account/logout/", "//evil.example", "ftp://a.example", "tel:1", "#top", ""])
def test_an_address_that_is_not_whole_is_no_link(address: str) -> None:
    assert "href" not in _html(f"[x](<{address}>)")


def test_an_image_is_a_link_to_it() -> None:
    html = _html("![a <b> picture](https://a.example/p.png)")
    assert "<img" not in html
    assert '<a href="https://a.example/p.png"' in html
    assert ">a &lt;b&gt; picture</a>" in html
    assert _html("[![a picture](https://a.example/p.png)](https://b.example)").count("<a ") == 1


@pytest.mark.parametrize(
    "text", ["x" * 24_001, "![" * 12_000, "|" + "a|" * 50 + "\n|" + "-|" * 50 + "\n" + "|\n" * 5_000]
)
def test_what_would_take_too_long_is_not_rendered(text: str) -> None:
    assert render(text) is None


def test_what_would_be_too_large_is_not_rendered() -> None:
    assert render("a\n\n" * 100, most_bytes=500) is None


@pytest.mark.parametrize("piece", ["[", "![", "`a ", "*a ", "_a", "> ", "- ", "<", "[](a) ", "**", "&amp;", "|a|\n"])
def test_hostile_text_is_parsed_in_time(piece: str) -> None:
    text = (piece * 24_000)[:24_000]
    # Of this thread alone: the machine has other things to do.
    began = time.thread_time()
    render(text)
    assert time.thread_time() - began < GROSS_SECONDS
