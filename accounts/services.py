"""Keys, profiles and first people."""

from __future__ import annotations

import secrets
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta

from allauth.account.models import EmailAddress
from allauth.mfa.models import Authenticator
from django.db import IntegrityError, transaction
from django.db.models import Q, QuerySet
from django.utils import timezone
from django.utils.translation import gettext as _

from accounts import audit, keys
from accounts.audit import SYSTEM, Actor
from accounts.exceptions import KeyEnded, MailTaken, NameTaken, ScopeTooWide
from accounts.models import ApiKey, Role, User
from accounts.roles import ADMINISTRATOR, ensure_roles
from accounts.scopes import check_scopes

__all__ = [
    "ADMIN_NAME",
    "IssuedKey",
    "authenticate_key",
    "change_profile",
    "ensure_admin",
    "ensure_roles",
    "forget_mail",
    "issue_api_key",
    "reset_second_factor",
    "revoke_api_key",
    "rotate_api_key",
]

ADMIN_NAME = "admin"


@dataclass(frozen=True, slots=True)
class IssuedKey:
    """A new key: its row, and the text that is shown this once."""

    row: ApiKey
    key: str


def issue_api_key(
    *,
    owner: User,
    name: str,
    actor: Actor,
    scopes: Iterable[str] = (),
    expires_at: datetime | None = None,
    within: ApiKey | None = None,
) -> IssuedKey:
    """Makes a key for a person. `within` is the key that the caller used: the new one can do no more, and no longer.

    Raises UnknownScope, ScopeTooWide, NameTaken (a live key of this owner has the name).
    """
    wanted = check_scopes(scopes)
    if within is not None and not (_reaches(within, wanted) and _lasts(within, expires_at)):
        raise ScopeTooWide
    made = keys.new_key()
    row = ApiKey(owner=owner, name=name, prefix=made.prefix, digest=made.digest, scopes=wanted, expires_at=expires_at)
    try:
        with transaction.atomic():
            row.save(force_insert=True)
            audit.record(verb="api_key.issue", actor=actor, subject=row, changes={"scopes": wanted})
    except IntegrityError as error:
        raise NameTaken(
            _("“%(owner)s” already has a key named “%(name)s”.") % {"owner": owner, "name": name}
        ) from error
    return IssuedKey(row=row, key=made.text)


def _reaches(key: ApiKey, scopes: list[str]) -> bool:
    return not key.scopes or (bool(scopes) and set(scopes) <= set(key.scopes))


def _lasts(key: ApiKey, moment: datetime | None) -> bool:
    return key.expires_at is None or (moment is not None and moment <= key.expires_at)


def rotate_api_key(
    *, api_key: ApiKey, actor: Actor, overlap: timedelta = timedelta(0), within: ApiKey | None = None
) -> IssuedKey:
    """Makes a key of the same owner, name and scopes; the old one opens for `overlap` more, never longer than it had.

    The new key lives as long as the old one was made to. `within` is the key that the caller used, as for
    `issue_api_key`; it also caps the life of the new one.
    Raises KeyEnded (revoked, expired, or rotated before: of simultaneous rotations one succeeds), ScopeTooWide.
    """
    if within is not None and not _reaches(within, api_key.scopes):
        raise ScopeTooWide
    now = timezone.now()
    made = keys.new_key()
    row = ApiKey(
        owner=api_key.owner, name=api_key.name, prefix=made.prefix, digest=made.digest, scopes=api_key.scopes,
        expires_at=_earliest(_renewed(api_key, now), within.expires_at if within else None),
    )  # fmt: skip
    with transaction.atomic():
        # The name has to be free before the new row takes it; the reference is checked at the end of the transaction.
        if not _still_opens(api_key, now).update(replaced_by=row, **_ending(api_key, now, overlap)):
            raise KeyEnded
        row.save(force_insert=True)
        changes = {"new_key": made.prefix, "overlap_seconds": int(overlap.total_seconds())}
        audit.record(verb="api_key.rotate", actor=actor, subject=api_key, changes=changes)
    keys.forget()
    return IssuedKey(row=row, key=made.text)


def _still_opens(key: ApiKey, now: datetime) -> QuerySet[ApiKey]:
    """Conditions on its own row alone: with its owner's, the update would see rows as they were before a rival's."""
    unexpired = Q(expires_at=None) | Q(expires_at__gt=now)
    return ApiKey.objects.filter(unexpired, pk=key.pk, revoked_at=None, replaced_by=None)


def _renewed(key: ApiKey, now: datetime) -> datetime | None:
    return now + (key.expires_at - key.created_at) if key.expires_at else None


def _earliest(*moments: datetime | None) -> datetime | None:
    return min((moment for moment in moments if moment is not None), default=None)


def _ending(key: ApiKey, now: datetime, overlap: timedelta) -> dict[str, datetime | None]:
    return {"expires_at": _earliest(key.expires_at, now + overlap)} if overlap else {"revoked_at": now}


def revoke_api_key(*, api_key: ApiKey, actor: Actor) -> bool:
    """Ends a key for good; False when it was revoked before. Other processes notice within REMEMBERED_SECONDS."""
    with transaction.atomic():
        changed = ApiKey.objects.filter(pk=api_key.pk, revoked_at=None).update(revoked_at=timezone.now())
        if changed:
            audit.record(verb="api_key.revoke", actor=actor, subject=api_key)
    keys.forget()
    return bool(changed)


def authenticate_key(key: str) -> ApiKey:
    """The live key of this text, with its owner. Raises InvalidKey."""
    return keys.authenticate(key)


@transaction.atomic
def change_profile(*, user: User, values: Mapping[str, str], actor: Actor) -> list[str]:
    """Changes what a person says about themselves: name, mail, language, appearance. Gives the fields that changed.

    Raises MailTaken.
    """
    changed = [name for name, value in values.items() if getattr(user, name) != value]
    for name in changed:
        setattr(user, name, values[name])
    if changed:
        try:
            with transaction.atomic():
                user.save(update_fields=changed)
        except IntegrityError as error:
            raise MailTaken from error
        audit.record(verb="user.change", actor=actor, subject=user, changes={"fields": changed})
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
