"""Erases a person. Every step can be repeated, so an erasure that was cut off is finished by beginning it again."""

from __future__ import annotations

import time
import uuid
from collections.abc import Iterable
from contextlib import suppress
from dataclasses import dataclass, field

from django.contrib.admin.models import LogEntry
from django.db.models import Q
from django.utils import timezone
from django.utils.translation import gettext as _

from accounts import audit
from accounts.audit import Actor
from accounts.exceptions import AccountError
from accounts.guard import keeping_an_administrator
from accounts.holdings import end_sessions
from accounts.models import ApiKey, AuditEvent, User
from accounts.privacy import Holding, holdings
from accounts.rights import rights_changed
from accounts.shredding import shred

VERB = "privacy.erase"
NAME = "erased-"
LOOK_SECONDS = 0.2
PATIENCE_SECONDS = 30.0
# So many ids in one question.
AT_ONCE = 200


class StillRunning(AccountError):
    """Some of the person's tasks still run. They were asked to stop: erase again in a moment to finish."""


@dataclass(frozen=True, slots=True)
class Erased:
    """How many rows of each holding were deleted or blanked, and how many audit events."""

    user_id: uuid.UUID
    name: str
    rows: dict[str, int] = field(default_factory=dict)
    events: int = 0


def erase_person(*, user: User, actor: Actor, patience: float = PATIENCE_SECONDS) -> Erased:
    """Closes the account, ends what runs, deletes or blanks what is kept of the person, and takes the name away.

    Tokens, costs and times stay by the id. Waits `patience` seconds for tasks that run. Raises LastAdministrator,
    having done nothing; StillRunning, having closed the account: call it again.
    """
    close_account(user=user, actor=actor)
    _stop_what_runs(user, patience)
    erased = Erased(user.pk, name_of_erased(user))
    events = 0
    for holding in holdings():
        events += _forget_things(holding, user, actor)
        erased.rows[holding.name] = holding.erase(user)
    events += _shred_tried_names(user, actor)
    _anonymise(user)
    # Last, for the steps before leave events too.
    events += _shred_about(user, actor)
    return Erased(user.pk, user.username, erased.rows, events)


def close_account(*, user: User, actor: Actor) -> None:
    """Nobody signs in as this person any more, and no key of theirs opens anything. Raises LastAdministrator."""
    with keeping_an_administrator():
        if user.is_active:
            audit.record(verb="privacy.close", actor=actor, subject=user)
        if user.has_usable_password():
            user.set_unusable_password()
        user.is_active, user.is_staff, user.is_superuser = False, False, False
        user.save(update_fields=["is_active", "is_staff", "is_superuser", "password"])
        ApiKey.objects.filter(owner=user, revoked_at=None).update(revoked_at=timezone.now())
        end_sessions(user)
        rights_changed()


def name_of_erased(user: User) -> str:
    """The name that is left: of the random end of the id, so that it is the same each time."""
    for digits in (8, 12, 20):
        name = f"{NAME}{user.pk.hex[-digits:]}"
        if not User.objects.filter(username=name).exclude(pk=user.pk).exists():
            return name
    return f"{NAME}{user.pk.hex}"


def _stop_what_runs(user: User, patience: float) -> None:
    """Lets nothing more begin, and waits for the rest."""
    until = time.monotonic() + patience
    while sum(holding.stop(user) for holding in holdings()):
        if time.monotonic() >= until:
            raise StillRunning
        time.sleep(LOOK_SECONDS)


def _forget_things(holding: Holding, user: User, actor: Actor) -> int:
    """What was recorded about the rows of a holding, while their ids are still known."""
    total = 0
    for ids in _in_parts(holding.things(user)):
        total += shred(
            events=AuditEvent.objects.filter(subject_id__in=ids), verb=VERB, actor=actor, subject=_unnamed(user)
        )
        LogEntry.objects.filter(object_id__in=[str(pk) for pk in ids]).update(object_repr="", change_message="")
    return total


def _shred_tried_names(user: User, actor: Actor) -> int:
    """Failed attempts to sign in know only what was typed."""
    if user.erased_at is not None:
        return 0
    names = [name for name in (user.username, user.email) if name]
    typed = Q()
    for name in names:
        typed |= Q(actor_name__iexact=name)
    tried = AuditEvent.objects.filter(typed, actor_id=None, verb="auth.sign_in")
    return shred(events=tried, verb=VERB, actor=actor, subject=_unnamed(user))


def _shred_about(user: User, actor: Actor) -> int:
    """Everything by or about the person but the deeds of erasing, which tell of no name."""
    events = AuditEvent.objects.about_or_by(user.pk).exclude(verb=VERB, subject_id=user.pk)
    return shred(events=events, verb=VERB, actor=actor, subject=_unnamed(user))


def _unnamed(user: User) -> User:
    """The person as the deeds of erasing name them."""
    return User(pk=user.pk, username=name_of_erased(user))


def _anonymise(user: User) -> None:
    user.username = name_of_erased(user)
    user.first_name = user.last_name = user.email = user.language = user.theme = ""
    user.last_login = None
    user.erased_at = user.erased_at or timezone.now()
    user.save(
        update_fields=[
            "username", "first_name", "last_name", "email", "language", "theme", "last_login", "erased_at",
        ]
    )  # fmt: skip


def _in_parts(ids: Iterable[uuid.UUID]) -> Iterable[list[uuid.UUID]]:
    part: list[uuid.UUID] = []
    for pk in ids:
        part.append(pk)
        if len(part) == AT_ONCE:
            yield part
            part = []
    if part:
        yield part


def person_named(text: str) -> User:
    """The user of this name or id. Raises AccountError."""
    found = User.objects.filter(username=text).first()
    with suppress(ValueError):
        found = found or User.objects.filter(pk=uuid.UUID(text)).first()
    if found is None:
        raise AccountError(_("There is no user named “%(name)s”.") % {"name": text})
    return found
