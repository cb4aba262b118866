"""Seals: the end of the chain in one signed line, kept where whoever can write to the database cannot.

Making one verifies first what has come since the last, so a seal never covers what was added by hand.
"""

from __future__ import annotations

import json
import os
from collections.abc import Callable, Iterator
from datetime import timedelta
from pathlib import Path
from typing import Any

import structlog
from django.conf import settings
from django.core.mail import send_mail
from django.db import transaction
from django.utils import timezone
from django.utils.translation import gettext as _

from accounts import chain, links
from accounts.models import AuditSeal
from accounts.verifying import verify_since
from accounts.walking import ChainBroken
from foundation.encryption import sign

logger = structlog.get_logger(__name__)

MAIL, FILE, LOG = "mail:", "file:", "log"


class BadSeals(Exception):
    """The file is no list of seals; the message is a sentence."""


def tend() -> None:
    """A worker's round: what crashes have left is chained, and the chain sealed when it is time."""
    chain.chain_all()
    try:
        seal_when_due()
    except ChainBroken as error:
        logger.error("audit_chain_broken", kind=error.found.kind, position=error.found.position)  # noqa: TRY400


def seal_when_due() -> AuditSeal | None:
    """Seals the chain when the last seal is older than AUDIT_SEAL_HOURS; None when it is not, or nothing is new.

    Raises ChainBroken.
    """
    last = _last()
    due = timezone.now() - timedelta(hours=settings.AUDIT_SEAL_HOURS)
    if last is not None and last.created_at > due:
        return None
    return seal()


def seal() -> AuditSeal | None:
    """Seals the chain as it is now; None when nothing has come since the last seal.

    Raises ChainBroken, and has sealed nothing then.
    """
    chain.chain_all()
    head = chain.head_of_chain()
    last = _last(any_reason=True)
    if not head.position or (last is not None and last.position >= head.position):
        return None
    # Outside the lock: of a first seal this may be the whole chain.
    walk = verify_since(last.position if last else 0, last.hash if last else "")
    with transaction.atomic():
        chain.lock()
        made, is_new = AuditSeal.objects.get_or_create(
            position=walk.position, reason=AuditSeal.Reason.PERIODIC, defaults=signed(walk.position, walk.hash)
        )
        if is_new:
            transaction.on_commit(lambda: keep_outside(made))
    return made if is_new else None


def signed(position: int, hash: str, reason: str = AuditSeal.Reason.PERIODIC) -> dict[str, Any]:  # noqa: A002
    """The values of a seal of this moment, with its signature."""
    values = {"position": position, "hash": hash, "reason": str(reason), "created_at": timezone.now()}
    return {**values, "signature": sign(links.seal_text(values), purpose=links.SEAL)}


def sign_again() -> int:
    """Signs every seal of the database with the first key, for when an old one is to go; how many.

    The caller has verified the chain, or would sign what somebody else has written.
    """
    with transaction.atomic():
        rows = [*AuditSeal.objects.select_for_update()]
        for row in rows:
            row.signature = sign(links.seal_text(link_of(row)), purpose=links.SEAL)
        AuditSeal.objects.bulk_update(rows, ["signature"], batch_size=200)
    return len(rows)


def line_of(made: AuditSeal) -> str:
    """The seal as one line of JSON, as it is kept outside."""
    values = link_of(made)
    return json.dumps({**values, "created_at": values["created_at"].isoformat()}, sort_keys=True)


def keep_outside(made: AuditSeal) -> None:
    """Writes it wherever AUDIT_SEALS says. What fails is logged; the other places still get it."""
    for place in settings.AUDIT_SEALS:
        try:
            _keep(place, made)
        except OSError as error:  # smtplib's errors are of this kind too
            logger.error("audit_seal_not_kept", place=place, error=str(error))  # noqa: TRY400


def read_seals(file: Path) -> Iterator[links.Link]:
    """Seals of a file, a line each. Raises BadSeals, OSError."""
    with file.open("rb") as lines:
        for number, line in enumerate(lines, start=1):
            if line.strip():
                yield _read(line, number)


def problem_with(place: str) -> str:
    """Why this place of AUDIT_SEALS cannot be used; empty when it can."""
    if place == LOG:
        return ""
    if place.startswith(FILE):
        file = Path(place.removeprefix(FILE))
        return "" if file.is_absolute() else f"{place!r} does not name a file by its whole path"
    if place.startswith(MAIL):
        name, at, host = place.removeprefix(MAIL).partition("@")
        return "" if name and at and host else f"{place!r} has no mail address"
    return f"{place!r} is none of log, file:/path/seals.jsonl, mail:someone@example.org"


def _keep(place: str, made: AuditSeal) -> None:
    keep: dict[str, Callable[[], None]] = {
        LOG: lambda: logger.info("audit_sealed", seal=line_of(made)),
        FILE: lambda: _append(Path(place.removeprefix(FILE)), line_of(made)),
        MAIL: lambda: _send(place.removeprefix(MAIL), made),
    }
    keep[next(name for name in keep if place.startswith(name))]()


def _append(file: Path, line: str) -> None:
    handle = os.open(file, os.O_WRONLY | os.O_APPEND | os.O_CREAT, 0o600)
    try:
        os.write(handle, f"{line}\n".encode())
        os.fsync(handle)
    finally:
        os.close(handle)


def _send(address: str, made: AuditSeal) -> None:
    subject = _("[Mutirão] Seal of the audit log: event #%(position)d") % {"position": made.position}
    send_mail(subject, f"{line_of(made)}\n", None, [address])


def _read(line: bytes, number: int) -> links.Link:
    try:
        found = json.loads(line)
        return {**{name: str(found[name]) for name in links.SEAL_COLUMNS}, "position": int(found["position"])}
    except (ValueError, KeyError, TypeError, RecursionError) as error:
        raise BadSeals(_("Line %(number)d is no seal.") % {"number": number}) from error


def _last(*, any_reason: bool = False) -> AuditSeal | None:
    rows = AuditSeal.objects.order_by("-position", "-created_at")
    return (rows if any_reason else rows.filter(reason=AuditSeal.Reason.PERIODIC)).first()


def link_of(row: AuditSeal) -> dict[str, Any]:
    """The row as what the walk is given."""
    return {name: getattr(row, name) for name in links.SEAL_COLUMNS}
