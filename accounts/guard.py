"""Somebody can always give rights: the last administrator cannot be removed, by whichever way."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

from django.contrib.auth.models import Permission
from django.db import transaction

from accounts.exceptions import LastAdministrator
from accounts.models import User

LOCKED = {"content_type__app_label": "accounts", "codename": "change_user"}


@contextmanager
def keeping_an_administrator() -> Iterator[None]:
    """Around everything that can take rights from people: one transaction, undone when it leaves no administrator.

    At most one at a time, so that two cannot each remove the other's. It comes before every other lock of the
    transaction: whoever holds a person's row and then waits here could wait for ever.
    Raises LastAdministrator. An installation that has none to begin with may stay as it is.
    """
    with transaction.atomic():
        _take_turns()
        had_one = User.objects.administrators().exists()
        yield
        if had_one and not User.objects.administrators().exists():
            raise LastAdministrator


def _take_turns() -> None:
    """Locks a row that is always there and that nobody else locks. SQLite has one writer at a time anyway."""
    [*Permission.objects.select_for_update(no_key=True).filter(**LOCKED).order_by("pk")]
