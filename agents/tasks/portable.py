"""What operators say of queues and of concurrency, as plain data."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from django.utils.translation import gettext as _

from accounts import audit
from accounts.models import User
from agents.definitions.models import Agent
from agents.tasks import queues, slots
from agents.tasks.models import ConcurrencyLimit, Queue
from foundation.portable import Entry, NotApplicable, register_kind

MOST_WAITING = 2_147_483_647
MOST_RUNNING = 1_000
LONGEST_QUEUE_NAME = 32


class Queues:
    """Bounds and pauses, by the queue's name."""

    name = "queues"
    fields: Sequence[str] = ("most_waiting", "is_paused")

    def read(self) -> dict[str, Entry]:
        """Every queue of which something is said."""
        return {row.name: {field: getattr(row, field) for field in self.fields} for row in Queue.objects.all()}

    def apply(self, name: str, entry: Entry) -> None:
        """Says so of the queue."""
        if not 0 < len(name) <= LONGEST_QUEUE_NAME:
            raise NotApplicable(_("The name of a queue has 1 to %(most)d characters.") % {"most": LONGEST_QUEUE_NAME})
        row = Queue.objects.filter(name=name).first() or Queue(name=name)
        wanted = {field: entry.get(field, getattr(row, field)) for field in self.fields}
        if not isinstance(wanted["is_paused"], bool):
            raise NotApplicable(_("“%(field)s” has to be true or false.") % {"field": "is_paused"})
        if wanted["most_waiting"] is not None:
            _check_number("most_waiting", wanted["most_waiting"], MOST_WAITING)
        if row._state.adding or wanted != {field: getattr(row, field) for field in self.fields}:
            queues.change(name=name, actor=audit.SYSTEM, **wanted)


class Limits:
    """How many tasks run at a time, by `agent:SLUG` or `user:NAME`. Limits of API keys stay with their keys, which no
    file holds.
    """

    name = "concurrency"
    fields: Sequence[str] = ("most_running",)

    def read(self) -> dict[str, Entry]:
        """Every limit of an agent or a user."""
        limits = ConcurrencyLimit.objects.filter(api_key=None).select_related("agent", "owner")
        return {_name_of(limit): {"most_running": limit.most_running} for limit in limits}

    def apply(self, name: str, entry: Entry) -> None:
        """Sets the limit."""
        subject = _subject_of(name)
        most = entry.get("most_running")
        _check_number("most_running", most, MOST_RUNNING)
        known = ConcurrencyLimit.objects.filter(**subject).first()
        if known is None or known.most_running != most:
            slots.set_limit(most_running=int(str(most)), actor=audit.SYSTEM, **subject)


def _name_of(limit: ConcurrencyLimit) -> str:
    return f"agent:{limit.agent.slug}" if limit.agent else f"user:{limit.owner}"


def _subject_of(name: str) -> dict[str, Any]:
    kind, _colon, subject = name.partition(":")
    found: dict[str, Any] = {}
    if kind == "agent":
        found = {"agent": Agent.objects.filter(slug=subject).first()}
    elif kind == "user":
        found = {"owner": User.objects.filter(username=subject).first()}
    if not any(found.values()):
        raise NotApplicable(_("“%(name)s” is neither agent:SLUG nor user:NAME of one that is here.") % {"name": name})
    return found


def _check_number(field: str, value: object, most: int) -> None:
    if isinstance(value, bool) or not isinstance(value, int) or not 1 <= value <= most:
        said = {"name": field, "least": 1, "most": most}
        raise NotApplicable(_("“%(name)s” has to be a number from %(least)d to %(most)d.") % said)


def register_kinds() -> None:
    """Called when the application starts."""
    register_kind(Queues())
    register_kind(Limits())
