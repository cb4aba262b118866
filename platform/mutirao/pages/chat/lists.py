"""The list of one's conversations: searched, the newest first, page by page."""

from __future__ import annotations

from dataclasses import dataclass
from uuid import UUID

from accounts.models import User
from agents.memory.models import Conversation

PAGE = 30
MOST_SHARED = 20
LONGEST_SEARCH = 200


@dataclass(frozen=True, slots=True)
class Conversations:
    """One page of them; `last` is the id to go on after, None at the end."""

    rows: list[Conversation]
    search: str
    last: UUID | None
    is_first_page: bool
    # What others have shared, on the first page.
    shared: tuple[Conversation, ...] = ()


def conversations_of(user: User, *, search: str = "", after: str = "") -> Conversations:
    """Those whose title or messages have the text that is searched for. At most four queries."""
    search = search.replace("\x00", "").strip()[:LONGEST_SEARCH]
    found = Conversation.objects.filter(owner=user).select_related("agent").order_by("-updated_at", "-id")
    if search:
        found = found.matching(search)
    last = _conversation(user, after)
    if last is not None:
        found = found.older_than(last)
    rows = [*found[: PAGE + 1]]
    shown = rows[:PAGE]
    shared = _shared_with(user, search) if last is None else ()
    edge = shown[-1].pk if len(rows) > PAGE else None
    return Conversations(shown, search, edge, is_first_page=last is None, shared=shared)


def _shared_with(user: User, search: str) -> tuple[Conversation, ...]:
    """The latest of them."""
    found = Conversation.objects.shared_with(user).select_related("owner", "agent").order_by("-updated_at", "-id")
    if search:
        found = found.matching(search)
    return tuple(found[:MOST_SHARED])


def _conversation(user: User, after: str) -> Conversation | None:
    try:
        return Conversation.objects.filter(owner=user, pk=UUID(after)).first()
    except ValueError:
        return None
