"""Service accounts: users that are programs. They have roles and API keys, and no password."""

from __future__ import annotations

from collections.abc import Iterable

from django.contrib.auth.models import Group
from django.core.exceptions import ValidationError
from django.db import IntegrityError, transaction
from django.utils.translation import gettext as _

from accounts import audit
from accounts.audit import Actor
from accounts.exceptions import InvalidServiceAccount
from accounts.models import User


@transaction.atomic
def make_service_account(*, name: str, actor: Actor, roles: Iterable[Group] = ()) -> User:
    """Makes one with these roles. Whether the caller may give them is asked by whoever calls.

    Raises InvalidServiceAccount: the name is taken, or none.
    """
    user = User(username=name, is_service=True)
    user.set_unusable_password()
    given = sorted(roles, key=lambda role: role.name)
    try:
        user.clean_fields()
        with transaction.atomic():
            user.save(force_insert=True)
    except ValidationError as error:
        raise InvalidServiceAccount(error.messages[0]) from error
    except IntegrityError as error:
        raise InvalidServiceAccount(_("“%(name)s” is the name of somebody already.") % {"name": name}) from error
    user.groups.set(given)
    changes = {"roles": [role.name for role in given]}
    audit.record(verb="service_account.create", actor=actor, subject=user, changes=changes)
    return user


@transaction.atomic
def change_service_account(*, user: User, actor: Actor, is_active: bool, roles: Iterable[Group]) -> list[str]:
    """Turns it on or off, and gives it exactly these roles. The names of what changed."""
    wanted, had = {role.pk for role in roles}, {*user.groups.values_list("pk", flat=True)}
    changed = [*(["is_active"] if user.is_active != is_active else []), *(["roles"] if wanted != had else [])]
    if "is_active" in changed:
        user.is_active = is_active
        user.save(update_fields=["is_active"])
    if "roles" in changed:
        user.groups.set(wanted)
    if changed:
        audit.record(verb="user.change", actor=actor, subject=user, changes={"fields": changed})
    return changed
