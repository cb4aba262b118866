"""A person's data as a file: a zip with a list of JSON lines for each holding and a manifest, made while it is sent."""

from __future__ import annotations

import io
import json
import os
import zipfile
from collections.abc import Iterator
from datetime import timedelta
from hashlib import sha256
from pathlib import Path
from typing import Any

from django.core.serializers.json import DjangoJSONEncoder
from django.db import transaction
from django.utils import timezone
from django.utils.translation import gettext as _

from accounts import audit
from accounts.audit import Actor
from accounts.exceptions import AccountError
from accounts.models import AuditEvent, User
from accounts.privacy import Holding, holdings

FORMAT, MANIFEST = "mutirao-person", "manifest.json"
CONTENT_TYPE = "application/zip"
# One's own data may be asked for so often.
EVERY = timedelta(hours=1)
ENOUGH_BYTES = 64 * 1024


class ExportTooSoon(AccountError):
    """Your data was downloaded less than an hour ago; try again later."""

    wait = int(EVERY.total_seconds())


class _Pipe(io.RawIOBase):
    """What a zip is written to and read from at the same time; it cannot go back."""

    def __init__(self) -> None:
        super().__init__()
        self._bytes = bytearray()

    def writable(self) -> bool:
        """Nothing else."""
        return True

    def write(self, data: Any) -> int:
        """Keeps it until it is taken."""
        self._bytes += data
        return len(data)

    def take(self, *, least: int = 0) -> bytes:
        """What has been written since, when it is so much; else nothing."""
        if len(self._bytes) < least:
            return b""
        taken, self._bytes = bytes(self._bytes), bytearray()
        return taken


def export_person(*, user: User, actor: Actor) -> Iterator[bytes]:
    """The zip of all that is kept of this person, in pieces, with its audit event. No secret is in it.

    Raises ExportTooSoon when they ask for it themselves and have had it within the last hour.
    """
    with transaction.atomic():
        # One after the other, so that two at once are one too many.
        User.objects.select_for_update().only("pk").get(pk=user.pk)
        if actor.user_id == user.pk and _had_it_lately(user):
            raise ExportTooSoon
        audit.record(verb="privacy.export", actor=actor, subject=user)
    return _zip(user)


def write_export(file: Path, *, user: User, actor: Actor) -> int:
    """Writes it to a new file that only its owner can read; how many bytes. Raises FileExistsError, OSError."""
    handle = os.open(file, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
    try:
        with os.fdopen(handle, "wb") as written:
            for piece in export_person(user=user, actor=actor):
                written.write(piece)
            return written.tell()
    except BaseException:
        file.unlink(missing_ok=True)
        raise


def file_name(user: User) -> str:
    """What the file is called: an id, for a name would have to be escaped."""
    return f"mutirao-{user.pk}.zip"


def _had_it_lately(user: User) -> bool:
    lately = timezone.now() - EVERY
    events = AuditEvent.objects.filter(verb="privacy.export", actor_id=user.pk, subject_id=user.pk)
    return events.filter(created_at__gt=lately).exists()


def _zip(user: User) -> Iterator[bytes]:
    pipe = _Pipe()
    parts: dict[str, dict[str, Any]] = {}
    with zipfile.ZipFile(pipe, "w", zipfile.ZIP_DEFLATED) as archive:
        for holding in holdings():
            with archive.open(f"{holding.name}.jsonl", "w", force_zip64=True) as part:
                count, digest = 0, sha256()
                for line in _lines(holding, user):
                    part.write(line)
                    digest.update(line)
                    count += 1
                    yield pipe.take(least=ENOUGH_BYTES)
            parts[f"{holding.name}.jsonl"] = {"label": str(holding.label), "rows": count, "sha256": digest.hexdigest()}
        archive.writestr(MANIFEST, _json(_manifest(user, parts)))
    yield pipe.take()


def _lines(holding: Holding, user: User) -> Iterator[bytes]:
    for row in holding.export(user):
        yield f"{_json(row)}\n".encode()


def _json(value: Any) -> str:
    return json.dumps(value, cls=DjangoJSONEncoder, ensure_ascii=False)


def _manifest(user: User, parts: dict[str, dict[str, Any]]) -> dict[str, Any]:
    return {
        "format": FORMAT, "version": 1, "made_at": timezone.now(), "person": {"id": user.pk, "name": user.username},
        "note": _("Secrets are not in here: passwords, keys, second factors, signing secrets."), "parts": parts,
    }  # fmt: skip
