"""What somebody may everywhere, by roles and directly; what of it one person can pass on to another."""

from __future__ import annotations

from collections.abc import Callable, Iterable

from django.contrib.auth.models import Group, Permission
from django.db import transaction
from django.db.models import Q

from accounts.exceptions import MissingRight, StrongerAccount
from accounts.models import User

_listeners: list[Callable[[], None]] = []


def when_rights_change(forget: Callable[[], None]) -> None:
    """Has this called once somebody's rights have changed, in this process: by rooms that remember them for a while."""
    _listeners.append(forget)


def rights_changed() -> None:
    """Tells those who asked, after the commit."""
    for forget in _listeners:
        transaction.on_commit(forget)


def names_of(permissions: Iterable[Permission]) -> list[str]:
    """As Django writes them, `room.codename`, in alphabetical order. Their content types should be there already."""
    return sorted(f"{permission.content_type.app_label}.{permission.codename}" for permission in permissions)


def rights_of(user: User) -> frozenset[str]:
    """Every permission of a person, also of one who may not sign in: what it would be worth to let them in again."""
    every = Permission.objects.all()
    found = every if user.is_superuser else every.filter(Q(user=user) | Q(group__user=user))
    return frozenset(
        f"{label}.{codename}" for label, codename in found.values_list("content_type__app_label", "codename")
    )


def lacking(by: User | None, permissions: Iterable[str]) -> list[str]:
    """Those that this person does not have, and so cannot give; none for the command line (None) and superusers."""
    own = _to_give(by)
    return [] if own is None else sorted(set(permissions) - own)


def beyond(by: User, roles: Iterable[Group]) -> frozenset[int]:
    """The ids of the roles that give more than this person has. Read their `permissions__content_type` with them."""
    own = _to_give(by)
    if own is None:
        return frozenset()
    return frozenset(role.pk for role in roles if not own.issuperset(names_of(role.permissions.all())))


def _to_give(by: User | None) -> frozenset[str] | None:
    """What somebody can pass on; None for everything."""
    if by is None or (by.is_active and by.is_superuser):
        return None
    return rights_of(by) if by.is_active else frozenset()


def check_can_give(by: User | None, permissions: Iterable[str]) -> None:
    """Nobody gives what they lack, nor takes it from others. Raises MissingRight naming the first."""
    missing = lacking(by, permissions)
    if missing:
        raise MissingRight.of(missing[0])


def may_manage(actor: User, target: User) -> bool:
    """Whether the target has no more rights than the actor, so that to act in the target's place gains nothing.

    It says nothing of whether the actor may manage accounts at all: that is `accounts.change_user`. What the target
    owns, and what others have shared with it, does not count: everybody who manages accounts can come by that.
    """
    if not actor.is_active:
        return False
    if actor.is_superuser:
        return True
    return not target.is_superuser and rights_of(target) <= rights_of(actor)


def check_may_manage(by: User | None, target: User) -> None:
    """Raises StrongerAccount. The command line (None) manages all."""
    if by is not None and not may_manage(by, target):
        raise StrongerAccount
