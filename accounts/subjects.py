"""Whose a limit or a quota is, in words: `user:ana`, `role:operator`, `key:1f2e3d4c5b`, `agent:helper`, `everybody`.

Agents are a room above: it registers what it knows of them.
"""

from __future__ import annotations

import uuid
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any, Protocol, cast

from django.contrib.auth.models import Group
from django.utils.translation import gettext as _

from accounts.exceptions import UnknownSubject
from accounts.models import ApiKey, User
from accounts.models.limits import OfSubject

EVERYBODY = "everybody"
FORMS = "user:NAME, role:NAME, key:ID, agent:SLUG"


class Agents(Protocol):
    """What this room wants to know of agents."""

    def slugs(self, ids: Iterable[uuid.UUID] | None = None) -> Mapping[uuid.UUID, str]:
        """The slugs of these agents, or of all."""

    def usable_by(self, user: User) -> Iterable[uuid.UUID]:
        """The agents that this person may use."""


_registered: list[Agents] = []


def register_agents(agents: Agents) -> None:
    """Called in AppConfig.ready of the room that has them."""
    _registered[:] = [agents]


def agents() -> Agents:
    """What was registered; of nobody where the room is not installed."""
    return _registered[0] if _registered else _NoAgents()


class _NoAgents:
    def slugs(self, ids: Iterable[uuid.UUID] | None = None) -> Mapping[uuid.UUID, str]:
        return {}

    def usable_by(self, user: User) -> Iterable[uuid.UUID]:
        return ()


@dataclass(frozen=True, slots=True)
class Subject:
    """Whose it is: the columns of a row, and how it is written."""

    columns: Mapping[str, Any]
    text: str


def parse_subject(text: str) -> Subject:
    """What this text means. Raises UnknownSubject."""
    kind, _colon, name = text.strip().partition(":")
    if text.strip() == EVERYBODY:
        return Subject(_columns(), EVERYBODY)
    found = _find(kind, name) if name and "\0" not in name else None
    if found is None:
        raise UnknownSubject(
            _("“%(name)s” is neither “everybody” nor one of these that is here: %(forms)s.")
            % {"name": text, "forms": FORMS}
        )
    return Subject(_columns(**found), text.strip())


def _columns(**given: Any) -> dict[str, Any]:
    return {"user_id": None, "role_id": None, "api_key_id": None, "agent_id": None} | given


def _find(kind: str, name: str) -> dict[str, Any] | None:
    rows: dict[str, tuple[str, Any]] = {
        "user": ("user_id", User.objects.filter(username=name)),
        "role": ("role_id", Group.objects.filter(name=name)),
        "key": ("api_key_id", ApiKey.objects.filter(prefix=name)),
    }
    if kind == "agent":
        found = next((pk for pk, slug in agents().slugs().items() if slug == name), None)
        return None if found is None else {"agent_id": found}
    if kind not in rows:
        return None
    column, wanted = rows[kind]
    pk = wanted.values_list("pk", flat=True).first()
    return None if pk is None else {column: pk}


def name_of(row: OfSubject) -> str:
    """How the subject of this row is written; an agent that is gone by its id."""
    return names_of([row])[0]


def names_of(rows: Iterable[OfSubject]) -> list[str]:
    """The same for several: agents are asked for once. Select `user`, `role` and `api_key` with the rows."""
    known = [*rows]
    wanted = {row.agent_id for row in known if row.agent_id is not None}
    slugs = agents().slugs(wanted) if wanted else {}
    return [_name(row, slugs) for row in known]


def _name(row: OfSubject, slugs: Mapping[uuid.UUID, str]) -> str:
    if row.user_id is not None:
        return f"user:{cast('User', row.user).get_username()}"
    if row.role_id is not None:
        return f"role:{cast('Group', row.role).name}"
    if row.api_key_id is not None:
        return f"key:{cast('ApiKey', row.api_key).prefix}"
    if row.agent_id is not None:
        return f"agent:{slugs.get(row.agent_id, row.agent_id)}"
    return EVERYBODY
