"""Why can this person do this? Every right that somebody has, and where it comes from."""

from __future__ import annotations

import uuid
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any

from django.contrib.auth.models import Permission
from django.utils.translation import gettext as _
from guardian.models import GroupObjectPermission, UserObjectPermission

from accounts.models import AuditEvent, User
from accounts.resources import Cell, Resource, Verb, cells, known_permissions, resources
from accounts.rights import names_of
from accounts.sharing import Row, Shareable, shareables

MOST_SHARED = 200
SUPERUSER, ROLE, DIRECT = "superuser", "role", "direct"


@dataclass(frozen=True, slots=True)
class Source:
    """What gives a right: being a superuser, a role, or a permission of one's own. A part of it, if not `is_whole`."""

    kind: str
    role: str = ""
    is_whole: bool = True

    @property
    def label(self) -> str:
        """For people."""
        if self.kind == SUPERUSER:
            return _("is a superuser")
        if self.kind == ROLE:
            return _("role “%(name)s”") % {"name": self.role}
        return _("given directly")


@dataclass(frozen=True, slots=True)
class Reason:
    """A right and its sources; without any, the person does not have it."""

    cell: Cell
    sources: tuple[Source, ...]

    @property
    def is_whole(self) -> bool:
        """Whether one source alone gives all of it."""
        return any(source.is_whole for source in self.sources)


@dataclass(frozen=True, slots=True)
class OtherReason:
    """A permission that is not in the matrix, and its sources."""

    permission: str
    sources: tuple[Source, ...]


@dataclass(frozen=True, slots=True)
class SharedReason:
    """A single thing that was shared: with this person, or with the role `through`; by whom, where that is known."""

    kind: str
    label: str
    id: str
    name: str
    verb: Verb
    through: str
    by: str


@dataclass(frozen=True, slots=True)
class Access:
    """All of it. Of somebody who is not active it is what they would have: they can do nothing."""

    user: User
    is_active: bool
    reasons: tuple[Reason, ...]
    other: tuple[OtherReason, ...]
    shared: tuple[SharedReason, ...]
    owned: str = ""

    def rows(self) -> list[tuple[Resource, list[Reason]]]:
        """The matrix: every resource with its cells."""
        return [
            (resource, [reason for reason in self.reasons if reason.cell.resource.name == resource.name])
            for resource in resources()
        ]


Given = Mapping[Source, frozenset[str]]
"""Where permissions come from → which."""


@dataclass(frozen=True, slots=True)
class _Question:
    user: User
    viewer: User
    permission: str
    thing_id: uuid.UUID | None


def access_of(*, user: User, viewer: User, permission: str = "", thing_id: uuid.UUID | None = None) -> Access:
    """What a person may do and why: everything, or only what has to do with a permission, or with a single thing.

    The names of things that the viewer may not see are left out.
    """
    asked = _Question(user, viewer, permission, thing_id)
    given = _given(user)
    wanted = [cell for cell in cells() if not permission or permission in cell.permissions]
    others = sorted(set().union(*given.values()) - known_permissions())
    return Access(
        user=user,
        is_active=user.is_active,
        reasons=tuple(Reason(cell, _sources(given, cell.permissions)) for cell in wanted),
        other=tuple(OtherReason(name, _sources(given, (name,))) for name in others if permission in ("", name)),
        shared=tuple(_shared(asked)),
        owned=_owned(asked),
    )


def _given(user: User) -> Given:
    """In the order in which they are worth naming. A superuser's permissions need no rows."""
    found: dict[Source, frozenset[str]] = {}
    if user.is_superuser:
        found[Source(SUPERUSER)] = frozenset(known_permissions())
    for role in user.groups.order_by("name").prefetch_related("permissions__content_type"):
        found[Source(ROLE, role.name)] = frozenset(names_of(role.permissions.all()))
    direct = Permission.objects.filter(user=user).select_related("content_type")
    if names := names_of(direct):
        found[Source(DIRECT)] = frozenset(names)
    return found


def _sources(given: Given, wanted: Iterable[str]) -> tuple[Source, ...]:
    whole = frozenset(wanted)
    return tuple(
        Source(source.kind, source.role, whole <= permissions)
        for source, permissions in given.items()
        if whole & permissions
    )


def _shared(asked: _Question) -> list[SharedReason]:
    found: list[SharedReason] = []
    for kind in shareables():
        rows = _rows(asked, kind)
        ids = {_thing_of(row) for row in rows}
        things = {thing.pk: thing for thing in kind.rows().filter(pk__in=ids)}
        givers = _givers(ids)
        found += [
            _as_reason(asked, kind, row, things[_thing_of(row)], givers) for row in rows if _thing_of(row) in things
        ]
    return found


def _rows(asked: _Question, kind: Shareable) -> list[Row]:
    codenames = [name.partition(".")[2] for name in kind.verbs.values() if asked.permission in ("", name)]
    label = kind.model._meta.app_label
    wanted: dict[str, Any] = {"permission__codename__in": codenames, "permission__content_type__app_label": label}
    if asked.thing_id is not None:
        wanted["object_pk"] = str(asked.thing_id)
    own = UserObjectPermission.objects.filter(user=asked.user, **wanted).select_related("permission")
    of_roles = GroupObjectPermission.objects.filter(group__user=asked.user, **wanted)
    of_roles = of_roles.select_related("permission", "group")
    return [*own.order_by("-pk")[:MOST_SHARED], *of_roles.order_by("-pk")[:MOST_SHARED]]


def _as_reason(
    asked: _Question, kind: Shareable, row: Row, thing: Any, givers: Mapping[tuple[str, str, str], str]
) -> SharedReason:
    by_codename = {name.partition(".")[2]: verb for verb, name in kind.verbs.items()}
    verb = by_codename[row.permission.codename]
    through = row.group if isinstance(row, GroupObjectPermission) else None
    receiver = asked.user.pk if through is None else through.pk
    return SharedReason(
        kind=kind.name,
        label=str(kind.label),
        id=str(thing.pk),
        name=str(thing) if kind.may_see(asked.viewer, thing) else "",
        verb=verb,
        through="" if through is None else through.name,
        by=givers.get((str(thing.pk), verb.value, str(receiver)), ""),
    )


def _givers(things: Iterable[uuid.UUID]) -> dict[tuple[str, str, str], str]:
    """Thing, verb and receiver → who shared it last, as far as the audit log goes back."""
    events = AuditEvent.objects.filter(verb="grant.give", subject_id__in=[*things]).order_by("created_at", "id")
    found: dict[tuple[str, str, str], str] = {}
    for subject, changes, name in events.values_list("subject_id", "changes", "actor_name"):
        said = changes if isinstance(changes, dict) else {}
        found[str(subject), str(said.get("verb")), str((said.get("to") or {}).get("id"))] = name
    return found


def _thing_of(row: Row) -> uuid.UUID:
    return uuid.UUID(row.object_pk)


def _owned(asked: _Question) -> str:
    """In words, when the thing is this person's own."""
    for kind in shareables() if asked.thing_id else ():
        thing = kind.rows().filter(pk=asked.thing_id).first()
        is_own = thing is not None and getattr(thing, "owner_id", None) == asked.user.pk
        if is_own and kind.may_see(asked.viewer, thing):
            return _("It is their own: owners may do everything with what is theirs.")
    return ""
