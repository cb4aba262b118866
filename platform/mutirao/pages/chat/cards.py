"""Exchanges as the page shows them: rendered, and never more than fits a page."""

from __future__ import annotations

import json
from dataclasses import dataclass
from typing import Any

from django.utils.html import escape
from django.utils.safestring import SafeString

from accounts.models import User
from agents.memory.exchanges import Exchange, exchanges_of
from agents.memory.models import Conversation, Message
from agents.memory.transcript import ToolUse
from agents.tasks.models import Task
from mutirao.pages import markdown
from mutirao.pages.waiting import Waiting, waiting_of

TURNS = 20
# Bytes of HTML. A page of the chat has 150,000 in all; its frame and the list of conversations take a third.
MOST_OF_ALL = 90_000
MOST_OF_QUESTION = 10_000
MOST_OF_ANSWER = 36_000
MOST_OF_TOOL_TEXT = 1_800
MOST_TOOLS = 8
OF_FRAME = 3_000


@dataclass(frozen=True, slots=True)
class Text:
    """What somebody said: as HTML where it is Markdown that is not too much, else as plain text, perhaps cut."""

    html: SafeString | None
    plain: str
    is_cut: bool

    @property
    def size(self) -> int:
        """Bytes on the page."""
        return len((self.html or escape(self.plain)).encode())


@dataclass(frozen=True, slots=True)
class Tool:
    """A tool call, folded. `result` is None while there is none."""

    name: str
    args: Text
    result: Text | None
    is_error: bool


@dataclass(frozen=True, slots=True)
class Card:
    """One exchange. `answer` may be an earlier task's while the latest still runs or has failed."""

    exchange: Exchange
    question: Text
    answer: Text | None
    tools: tuple[Tool, ...]
    more_tools: int
    waiting: Waiting | None = None

    @property
    def message(self) -> Message:
        """The question's row."""
        return self.exchange.question

    @property
    def task(self) -> Task | None:
        """The latest task."""
        return self.exchange.task

    @property
    def size(self) -> int:
        """Bytes on the page, about."""
        tools = sum(tool.args.size + (tool.result.size if tool.result else 0) for tool in self.tools)
        return OF_FRAME + self.question.size + (self.answer.size if self.answer else 0) + tools


def cards_of(conversation: Conversation, user: User, *, before: int | None = None) -> tuple[list[Card], bool]:
    """The last exchanges before this position, oldest first, and whether there are earlier ones."""
    found = exchanges_of(conversation, before=before, limit=TURNS + 1)
    cards: list[Card] = []
    size = 0
    for exchange in reversed(found[-TURNS:]):
        card = card_of(exchange, user)
        size += card.size
        if cards and size > MOST_OF_ALL:
            break
        cards.insert(0, card)
    return cards, len(cards) < len(found)


def card_of(exchange: Exchange, user: User) -> Card:
    """One exchange, rendered for this person."""
    answer = exchange.answer
    return Card(
        exchange=exchange,
        question=as_it_is(exchange.question.content, most=MOST_OF_QUESTION),
        answer=None if answer is None else as_markdown(answer.content, most=MOST_OF_ANSWER),
        tools=tuple(_tool(use) for use in exchange.tools[:MOST_TOOLS]),
        more_tools=max(0, len(exchange.tools) - MOST_TOOLS),
        waiting=None if exchange.task is None else waiting_of(exchange.task, user),
    )


def as_markdown(text: str, *, most: int) -> Text:
    """Rendered when that takes at most so many bytes."""
    html = markdown.render(text, most_bytes=most)
    return Text(html, "", is_cut=False) if html is not None else as_it_is(text, most=most)


def as_it_is(text: str, *, most: int) -> Text:
    """Plain, cut to so many bytes of HTML."""
    cut = text[:most]
    while (size := len(escape(cut).encode())) > most:
        cut = cut[: len(cut) * most // size]
    return Text(None, cut, is_cut=len(cut) < len(text))


def _tool(use: ToolUse) -> Tool:
    result = None if use.result is None else as_it_is(use.result, most=MOST_OF_TOOL_TEXT)
    return Tool(use.name, as_it_is(_arguments(use.args), most=MOST_OF_TOOL_TEXT), result, use.is_error)


def _arguments(args: Any) -> str:
    return "" if not args else json.dumps(args, ensure_ascii=False, indent=2)
