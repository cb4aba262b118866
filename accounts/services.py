"""First people, and what people change about themselves. Keys are in `issuing`, roles in `roles`."""

from __future__ import annotations

import secrets
from collections.abc import Mapping

from allauth.account.models import EmailAddress
from allauth.mfa.models import Authenticator
from django.db import IntegrityError, transaction

from accounts import audit
from accounts.audit import SYSTEM, Actor
from accounts.exceptions import MailTaken
from accounts.models import Role, User
from accounts.roles import ADMINISTRATOR

ADMIN_NAME = "admin"


@transaction.atomic
def change_profile(*, user: User, values: Mapping[str, str], actor: Actor) -> list[str]:
    """Changes what a person says about themselves: name, mail, language, appearance. Gives the fields that changed.

    Raises MailTaken.
    """
    before = {name: getattr(user, name) for name in values}
    changed = [name for name, value in values.items() if before[name] != value]
    for name in changed:
        setattr(user, name, values[name])
    if changed:
        try:
            with transaction.atomic():
                user.save(update_fields=changed)
        except IntegrityError as error:
            raise MailTaken from error
        audit.record(verb="user.change", actor=actor, subject=user, changes=audit.difference(before, values))
    if "email" in changed:
        forget_mail(user=user)
    return changed


def forget_mail(*, user: User) -> None:
    """Drops allauth's copies of a mail address: what stands in the user's row alone opens the door."""
    EmailAddress.objects.filter(user=user).delete()


@transaction.atomic
def reset_second_factor(*, user: User, actor: Actor) -> bool:
    """Takes off the second factor with its recovery codes, for somebody who has lost both; False if there is none."""
    found = Authenticator.objects.filter(user=user)
    if not found.exists():
        return False
    found.delete()
    audit.record(verb="auth.second_factor_reset", actor=actor, subject=user)
    return True


@transaction.atomic
def ensure_admin(password: str | None = None) -> str | None:
    """Makes the user `admin` when there is none, and gives its password (a random one, if none is given); else None."""
    if User.objects.filter(username=ADMIN_NAME).exists():
        return None
    chosen = password or secrets.token_urlsafe(12)
    admin = User.objects.create_superuser(username=ADMIN_NAME, password=chosen)
    admin.groups.set(Role.objects.filter(name=ADMINISTRATOR))
    audit.record(verb="user.create", actor=SYSTEM, subject=admin)
    return chosen
