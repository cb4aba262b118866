"""Roles: those that ship, and the verbs that make, change, give and delete them."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import TypeVar

from django.contrib.auth.models import Group, Permission
from django.db import IntegrityError, transaction
from django.db.models import Q, QuerySet

from accounts import audit
from accounts.audit import SYSTEM, Actor
from accounts.exceptions import InvalidRole, RoleTaken, UnknownPermission, UnknownRole
from accounts.guard import keeping_an_administrator
from accounts.models import Role, User
from accounts.resources import Verb, cells, permissions_of
from accounts.rights import check_can_give, check_may_manage, names_of, rights_changed

ADMINISTRATOR, OPERATOR, DEVELOPER, MEMBER, AUDITOR = "administrator", "operator", "developer", "member", "auditor"
EVERYTHING = "*"
LONGEST_NAME = 150

Named = TypeVar("Named", bound=Group)

# Resource → verbs; the star is every resource that has the verb. Rooms above are named by string: this one does not
# know them.
BUILT_IN: Mapping[str, Mapping[str, tuple[Verb, ...]]] = {
    ADMINISTRATOR: {EVERYTHING: tuple(Verb)},
    OPERATOR: {
        "agents": (Verb.VIEW, Verb.USE),
        "tasks": (Verb.VIEW, Verb.CHANGE),
        "queues": (Verb.VIEW, Verb.CHANGE),
        "schedules": (Verb.VIEW, Verb.USE),
        "webhooks": (Verb.VIEW, Verb.USE),
        "models": (Verb.VIEW,),
        "circuits": (Verb.VIEW, Verb.USE),
        "answers": (Verb.VIEW, Verb.CHANGE),
        "conversations": (Verb.VIEW,),
        "approvals": (Verb.VIEW, Verb.APPROVE),
        "limits": (Verb.VIEW,),
        "telemetry": (Verb.VIEW,),
    },
    DEVELOPER: {"agents": (Verb.VIEW, Verb.USE, Verb.CHANGE)},
    MEMBER: {"agents": (Verb.USE,)},
    AUDITOR: {EVERYTHING: (Verb.VIEW,)},
}


def built_in_permissions(name: str) -> set[str]:
    """What a role that ships has when it is made. Raises KeyError for another."""
    given = dict(BUILT_IN[name])
    everywhere = given.pop(EVERYTHING, ())
    found = permissions_of(given)
    return found.union(*(cell.permissions for cell in cells() if cell.verb in everywhere))


@transaction.atomic
def ensure_roles() -> None:
    """Makes the roles that ship, when missing, with their permissions. What people changed in them stays."""
    for name in BUILT_IN:
        role, is_new = Role.objects.get_or_create(name=name)
        if is_new:
            role.permissions.set(permissions_named(built_in_permissions(name)))


def sync_role(*, name: str, actor: Actor = SYSTEM) -> list[str]:
    """Adds to a role that ships what it lacks of its built-in permissions, and gives their names; takes nothing away.

    Makes the role when there is none. Raises UnknownRole for one that does not ship.
    """
    if name not in BUILT_IN:
        raise UnknownRole
    with keeping_an_administrator():
        role, _is_new = Role.objects.get_or_create(name=name)
        before = names_of(role.permissions.select_related("content_type"))
        missing = sorted(built_in_permissions(name) - set(before))
        if missing:
            _set_permissions(role, {*before, *missing}, before, actor)
    return missing


def create_role(*, name: str, permissions: Iterable[str], by: User | None, actor: Actor) -> Role:
    """Makes a role of permissions (`room.codename`). `by` is who does it, and has them all; None is the command line.

    Raises InvalidRole, RoleTaken, UnknownPermission, MissingRight.
    """
    wanted = set(permissions)
    check_can_give(by, wanted)
    found = permissions_named(wanted)
    with transaction.atomic():
        role = _named(Role(), name)
        role.permissions.set(found)
        audit.record(verb="role.create", actor=actor, subject=role, changes={"permissions": {"after": names_of(found)}})
    return role


def change_role(
    *, role: Group, name: str | None = None, permissions: Iterable[str] | None = None, by: User | None, actor: Actor
) -> list[str]:
    """Gives a role another name, or exactly these permissions; None leaves as it is. Gives the fields that changed.

    Who does it has every permission of the role, and those that are added: nobody weakens those who may more, and a
    name counts too, for people give roles by their names.
    Raises InvalidRole, RoleTaken, UnknownPermission, MissingRight, LastAdministrator.
    """
    changed: list[str] = []
    with keeping_an_administrator():
        before = names_of(role.permissions.select_related("content_type"))
        if name is not None and name != role.name:
            check_can_give(by, before)
            old = role.name
            _named(role, name)
            audit.record(
                verb="role.change", actor=actor, subject=role, changes={"name": {"before": old, "after": name}}
            )
            changed.append("name")
        if permissions is not None and (wanted := set(permissions)) != set(before):
            check_can_give(by, wanted.union(before))
            _set_permissions(role, wanted, before, actor)
            changed.append("permissions")
    return changed


def delete_role(*, role: Group, by: User | None, actor: Actor) -> None:
    """Whoever had it has it no more, with all that was shared with it. Raises MissingRight, LastAdministrator."""
    with keeping_an_administrator():
        had = names_of(role.permissions.select_related("content_type"))
        check_can_give(by, had)
        changes = {"permissions": {"before": had}, "members": {"before": role.user_set.count()}}
        audit.record(verb="role.delete", actor=actor, subject=role, changes=changes)
        role.delete()
        rights_changed()


def set_roles(*, user: User, roles: Iterable[Group], by: User | None, actor: Actor) -> bool:
    """Gives a person exactly these roles; False when they have them already.

    Who does it has every right of the roles that are given or taken, and no fewer than the person.
    Raises MissingRight, StrongerAccount, LastAdministrator.
    """
    wanted = {role.pk: role for role in roles}
    with keeping_an_administrator():
        had = {role.pk: role for role in user.groups.all()}
        touched = wanted.keys() ^ had.keys()
        if not touched:
            return False
        check_may_manage(by, user)
        check_can_give(by, names_of(_permissions_in(touched)))
        user.groups.set(wanted)
        changes = {"roles": {"before": _names(had), "after": _names(wanted)}}
        audit.record(verb="user.roles", actor=actor, subject=user, changes=changes)
        rights_changed()
    return True


def check_name(name: str) -> None:
    """Raises InvalidRole for one that does not fit an address or a line."""
    if not name.strip() or len(name) > LONGEST_NAME or "/" in name or not name.isprintable():
        raise InvalidRole


def find_roles(names: Iterable[str]) -> list[Group]:
    """Raises UnknownRole naming the first that there is not."""
    wanted = sorted(set(names))
    found = {role.name: role for role in Role.objects.filter(name__in=wanted)}
    for name in wanted:
        if name not in found:
            raise UnknownRole.of(name)
    return [found[name] for name in wanted]


def permissions_named(names: Iterable[str]) -> list[Permission]:
    """Raises UnknownPermission naming the first that there is not."""
    wanted = {name: tuple(name.partition(".")[::2]) for name in names}
    if not wanted:
        return []
    condition = Q()
    for label in {label for label, _codename in wanted.values()}:
        condition |= Q(
            content_type__app_label=label, codename__in=[code for app, code in wanted.values() if app == label]
        )
    found = [*Permission.objects.filter(condition).select_related("content_type")]
    missing = sorted(wanted.keys() - names_of(found))
    if missing:
        raise UnknownPermission.of(missing[0])
    return found


def _permissions_in(role_ids: Iterable[int]) -> QuerySet[Permission]:
    return Permission.objects.filter(group__in=[*role_ids]).select_related("content_type").distinct()


def _set_permissions(role: Group, wanted: Iterable[str], before: list[str], actor: Actor) -> None:
    after = permissions_named(wanted)
    role.permissions.set(after)
    changes = {"permissions": {"before": before, "after": names_of(after)}}
    audit.record(verb="role.change", actor=actor, subject=role, changes=changes)
    rights_changed()


def _named(role: Named, name: str) -> Named:
    """Saved under this name."""
    check_name(name)
    role.name = name
    try:
        with transaction.atomic():
            role.save()
    except IntegrityError as error:
        raise RoleTaken from error
    return role


def _names(roles: Mapping[int, Group]) -> list[str]:
    return sorted(role.name for role in roles.values())
