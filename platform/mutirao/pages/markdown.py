"""What agents say, as HTML that cannot do anything: no scripts, no frames, nothing loaded from anywhere.

Two walls: the Markdown parser is told to read HTML as text, and what it writes passes an allow-list.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from functools import lru_cache

import nh3
from django.utils.html import escape
from django.utils.safestring import SafeString, mark_safe
from markdown_it import MarkdownIt
from markdown_it.token import Token

TAGS = {
    "a", "blockquote", "br", "code", "del", "em", "h1", "h2", "h3", "h4", "h5", "h6", "hr", "li", "ol", "p", "pre",
    "s", "strong", "table", "tbody", "td", "th", "thead", "tr", "ul",
}  # fmt: skip
ATTRIBUTES = {"a": {"href"}, "ol": {"start"}}
# With the scheme: an address of this site in an answer would be a button of ours in somebody else's hand.
ADDRESS = re.compile(r"^(https?://|mailto:)", re.IGNORECASE)
SCHEMES = {"http", "https", "mailto"}
# Beyond these, parsing takes seconds (it is quadratic in open brackets, and a table multiplies rows by columns).
MOST_CHARACTERS = 24_000
MOST_BRACKETS = 1_000
MOST_BARS = 2_000
# What is parsed once is shown again and again.
REMEMBERED = 256
NUMBER = re.compile(r"^\d{1,9}$")


@lru_cache(maxsize=REMEMBERED)
def render(text: str, *, most_bytes: int = 200_000) -> SafeString | None:
    """Markdown (CommonMark, tables, strikethrough) as safe HTML. Images are links to them, so nothing is loaded.

    None for a text that would take too long, or more than `most_bytes`: show it as it is.
    """
    if len(text) > MOST_CHARACTERS or text.count("[") > MOST_BRACKETS or text.count("|") > MOST_BARS:
        return None
    html = _cleaner.clean(_parser.render(text))
    if len(html.encode()) > most_bytes:
        return None
    return mark_safe(html)  # noqa: S308 (cleaned above)


def _image(_renderer: object, tokens: Sequence[Token], index: int, *_rest: object) -> str:
    """An image as a link with its description, or its address where there is none; inside a link, only as text."""
    address = str(tokens[index].attrs.get("src", ""))
    text = escape(tokens[index].content or address)
    is_in_link = sum(token.nesting for token in tokens[:index] if token.type in ("link_open", "link_close")) > 0
    return text if is_in_link else f'<a href="{escape(address)}">{text}</a>'


def _make_parser() -> MarkdownIt:
    parser = MarkdownIt("commonmark", {"html": False, "breaks": True}).enable(["table", "strikethrough"])
    parser.add_render_rule("image", _image)
    return parser


def _allowed(_tag: str, attribute: str, value: str) -> str | None:
    pattern = ADDRESS if attribute == "href" else NUMBER
    return value if pattern.match(value) or attribute in ("rel", "target") else None


_parser = _make_parser()
_cleaner = nh3.Cleaner(
    tags=TAGS,
    attributes=ATTRIBUTES,
    attribute_filter=_allowed,
    url_schemes=SCHEMES,
    link_rel="noopener noreferrer nofollow",
    set_tag_attribute_values={"a": {"target": "_blank"}},
)
