"""Service accounts: users that are programs. They have roles and API keys, and no password."""

from __future__ import annotations

from collections.abc import Iterable

from django.contrib.auth.models import Group
from django.db import transaction

from accounts.audit import Actor
from accounts.models import User
from accounts.people import change_person, create_person
from accounts.roles import set_roles


def make_service_account(*, name: str, actor: Actor, roles: Iterable[Group] = (), by: User | None = None) -> User:
    """Makes one with these roles. `by` is who does it; None is the command line.

    Raises InvalidPerson (the name is taken, or none), MissingRight for a role that is more than `by` has.
    """
    return create_person(username=name, is_service=True, roles=roles, by=by, actor=actor)


@transaction.atomic
def change_service_account(
    *, user: User, actor: Actor, is_active: bool, roles: Iterable[Group], by: User | None = None
) -> list[str]:
    """Turns it on or off, and gives it exactly these roles. The names of what changed.

    Raises StrongerAccount, MissingRight.
    """
    changed = change_person(user=user, is_active=is_active, by=by, actor=actor)
    return [*changed, *(["roles"] if set_roles(user=user, roles=roles, by=by, actor=actor) else [])]
