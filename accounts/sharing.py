"""Sharing single things with people and roles, over guardian's tables. The rooms register what can be shared."""

from __future__ import annotations

import uuid
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from typing import Any

from django.contrib.auth.models import Group, Permission
from django.db import models, transaction
from guardian.models import GroupObjectPermission, UserObjectPermission

from accounts import audit
from accounts.audit import Actor
from accounts.exceptions import NotYoursToShare, UnknownCell, UnknownReceiver
from accounts.models import Role, User
from accounts.resources import Verb

Row = UserObjectPermission | GroupObjectPermission
PERSON, ROLE = "user", "role"


def _nothing() -> None:
    """Most kinds remember no rights."""


@dataclass(frozen=True, slots=True)
class Shareable:
    """A kind of things that can be shared one by one.

    `verbs` says which permission on the thing a verb is. `find(user, key)` is the thing of this key (as addresses have
    it) if the user may know of it, else None. `may_see(user, thing)` says whether the user may read what it is called.
    `may_share(user, thing, verb)` says whether the user may give this verb on it to others: nobody gives what they
    lack. `forget` is called once a change is committed.
    """

    name: str
    label: Any
    model: type[models.Model]
    verbs: Mapping[Verb, str]
    find: Callable[[User, str], models.Model | None]
    may_see: Callable[[User, Any], bool]
    may_share: Callable[[User, Any, Verb], bool]
    forget: Callable[[], None] = _nothing

    def rows(self) -> models.QuerySet[Any]:
        """All things of this kind."""
        return self.model._default_manager.all()  # noqa: SLF001 (Django's public name for it)


@dataclass(frozen=True, slots=True)
class Grant:
    """One verb on one thing, for one person or one role. `id` is unique among the grants of the thing."""

    id: str
    verb: Verb
    kind: str
    receiver_id: str
    receiver: str


_kinds: dict[str, Shareable] = {}


def register_shareable(kind: Shareable) -> None:
    """Makes a kind known, in AppConfig.ready."""
    _kinds[kind.name] = kind


def shareables() -> list[Shareable]:
    """Every kind that can be shared."""
    return [*_kinds.values()]


def kind_named(name: str) -> Shareable:
    """Raises KeyError."""
    return _kinds[name]


def kind_of(thing: models.Model) -> Shareable:
    """Raises KeyError for what nobody can share."""
    return next(kind for kind in _kinds.values() if isinstance(thing, kind.model))


def granted_ids(user: User, permission: str) -> list[uuid.UUID]:
    """The things on which this person has the permission because somebody shared them, with them or a role of theirs.

    One query. In it are ids only of things that there are: grants go with their things.
    """
    label, _dot, codename = permission.partition(".")
    wanted = {"permission__content_type__app_label": label, "permission__codename": codename}
    own = UserObjectPermission.objects.filter(user=user, **wanted).values_list("object_pk")
    of_roles = GroupObjectPermission.objects.filter(group__user=user, **wanted).values_list("object_pk")
    return [uuid.UUID(key) for (key,) in own.union(of_roles)]


def find_receiver(*, kind: str, name: str) -> User | Group:
    """The person or role of exactly this name. Raises UnknownReceiver, in the same words for either."""
    people, roles = User.objects.filter(username=name, is_active=True), Role.objects.filter(name=name)
    found: User | Group | None = people.first() if kind == PERSON else roles.first()
    if found is None:
        raise UnknownReceiver
    return found


def verbs_to_share(user: User, thing: models.Model) -> list[Verb]:
    """What this person may give to others on it; empty for whoever may not share it."""
    kind = kind_of(thing)
    return [verb for verb in kind.verbs if kind.may_share(user, thing, verb)]


def share(*, thing: models.Model, verb: str, to: User | Group, by: User | None, actor: Actor) -> Grant:
    """Lets a person or a role do this with it; the same grant again is no error. `by` None is the command line.

    Raises UnknownCell for a verb that its kind does not have, NotYoursToShare.
    """
    kind = kind_of(thing)
    wanted = _checked(kind, thing, verb, by)
    with transaction.atomic():
        permission = _permission(kind.verbs[wanted])
        rows, receiver = _rows_of(to)
        row, is_new = rows.get_or_create(
            **receiver, permission=permission, object_pk=str(thing.pk), content_type=permission.content_type
        )
        grant = _as_grant(row, wanted)
        if is_new:
            _record("grant.give", thing, grant, actor)
            transaction.on_commit(kind.forget)
    return grant


def unshare(*, thing: models.Model, grant_id: str, by: User | None, actor: Actor) -> bool:
    """Takes a grant of this thing back; False when it has none of this id. Raises NotYoursToShare."""
    kind = kind_of(thing)
    grant = next((grant for grant in grants_of(thing) if grant.id == grant_id), None)
    if grant is None:
        return False
    _checked(kind, thing, grant.verb, by)
    rows = UserObjectPermission if grant.kind == PERSON else GroupObjectPermission
    with transaction.atomic():
        gone, _by_model = rows.objects.filter(pk=int(grant_id.partition("-")[2]), object_pk=str(thing.pk)).delete()
        if gone:
            _record("grant.take", thing, grant, actor)
            transaction.on_commit(kind.forget)
    return bool(gone)


def grants_of(thing: models.Model) -> list[Grant]:
    """Everything that is shared on it, roles first, by name."""
    kind = kind_of(thing)
    by_permission = {name.partition(".")[2]: verb for verb, name in kind.verbs.items()}
    found = [
        _as_grant(row, by_permission[row.permission.codename])
        for row in (*_grants(GroupObjectPermission, "group", thing), *_grants(UserObjectPermission, "user", thing))
        if row.permission.codename in by_permission
    ]
    return sorted(found, key=lambda grant: (grant.kind != ROLE, grant.receiver, grant.verb))


def _checked(kind: Shareable, thing: models.Model, verb: str, by: User | None) -> Verb:
    if verb not in kind.verbs:
        raise UnknownCell.of(kind.name, verb)
    if by is not None and not (by.is_active and kind.may_share(by, thing, Verb(verb))):
        raise NotYoursToShare
    return Verb(verb)


def _grants(rows: type[Row], receiver: str, thing: models.Model) -> Iterable[Row]:
    found: Iterable[Row] = rows.objects.select_related(receiver, "permission").filter(
        object_pk=str(thing.pk), permission__content_type__app_label=thing._meta.app_label,
        permission__content_type__model=thing._meta.model_name,
    )  # fmt: skip
    return found


def _rows_of(to: User | Group) -> tuple[models.Manager[Any], dict[str, Any]]:
    if isinstance(to, User):
        return UserObjectPermission.objects, {"user": to}
    return GroupObjectPermission.objects, {"group": to}


def _permission(name: str) -> Permission:
    label, _dot, codename = name.partition(".")
    return Permission.objects.select_related("content_type").get(content_type__app_label=label, codename=codename)


def _as_grant(row: Row, verb: Verb) -> Grant:
    if isinstance(row, UserObjectPermission):
        return Grant(f"{PERSON}-{row.pk}", verb, PERSON, str(row.user_id), row.user.get_username())
    return Grant(f"{ROLE}-{row.pk}", verb, ROLE, str(row.group_id), row.group.name)


def _record(verb: str, thing: models.Model, grant: Grant, actor: Actor) -> None:
    # A person by their id: the name is to go when they are erased, and this event is not about them.
    to = {"kind": grant.kind, "id": grant.receiver_id, **({"name": grant.receiver} if grant.kind == ROLE else {})}
    audit.record(verb=verb, actor=actor, subject=thing, changes={"verb": grant.verb.value, "to": to})
