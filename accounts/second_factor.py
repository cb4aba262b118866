"""Who must have a second factor, by MUTIRAO_REQUIRE_SECOND_FACTOR, and what happens to whoever has none."""

from __future__ import annotations

from allauth.mfa.utils import is_mfa_enabled
from django.conf import settings

from accounts.models import User

NOBODY, ADMINISTRATORS, STAFF, EVERYONE = "", "administrators", "staff", "everyone"
CHOICES = (NOBODY, ADMINISTRATORS, STAFF, EVERYONE)
_OVER_PEOPLE = ("accounts.change_user", "accounts.change_role")


def is_required(user: User) -> bool:
    """Whether this person must have one. A value that a system check refuses counts as everyone."""
    wanted = settings.REQUIRE_SECOND_FACTOR
    if wanted == NOBODY:
        return False
    if wanted == STAFF:
        return user.is_staff
    return _is_administrator(user) if wanted == ADMINISTRATORS else True


def is_missing(user: User) -> bool:
    """Whether this person must have one and has none."""
    return is_required(user) and not is_mfa_enabled(user)


def _is_administrator(user: User) -> bool:
    """Superusers, and whoever may change users or roles."""
    return user.is_superuser or any(user.has_perm(name) for name in _OVER_PEOPLE)
