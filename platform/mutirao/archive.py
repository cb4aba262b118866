"""The file of a backup: a zip of parts with a manifest that knows the SHA-256 of each.

With a passphrase the zip lies, encrypted, in an outer one beside its key: `key.age` opens with the passphrase and
holds the age identity that opens `backup.zip.age`, so that `age` itself could open both.
"""

from __future__ import annotations

import hashlib
import json
import os
import tempfile
import zipfile
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import IO, Any

import pyrage
from django.utils.translation import gettext as _

MANIFEST, KEY, BODY = "manifest.json", "key.age", "backup.zip.age"
FORMAT, VERSION = "mutirao-backup", 1
BLOCK = 1 << 20
# age's estimate of what this machine can do is taken anew each time.
TRIES = 5


class NotABackup(Exception):
    """The file is no backup, or not what it was when it was made; the message is a sentence."""


class Writer:
    """Writes the parts one after another, and the manifest last."""

    def __init__(self, archive: zipfile.ZipFile) -> None:
        self._archive = archive
        self._parts: dict[str, dict[str, Any]] = {}

    def add(self, name: str, lines: Iterable[bytes], **facts: Any) -> int:
        """A part from its lines, with what the manifest shall say of it; how many lines there were."""
        digest, count = hashlib.sha256(), 0
        with self._archive.open(name, "w", force_zip64=True) as part:
            for line in lines:
                part.write(line)
                digest.update(line)
                count += 1
        self._parts[name] = {"sha256": digest.hexdigest(), "lines": count, **facts}
        return count

    def finish(self, **facts: Any) -> None:
        """Writes the manifest."""
        manifest = {"format": FORMAT, "version": VERSION, **facts, "parts": self._parts}
        self._archive.writestr(MANIFEST, json.dumps(manifest, indent=1, ensure_ascii=False))


@contextmanager
def writing(file: Path, *, passphrase: str = "") -> Iterator[Writer]:
    """A new file, mode 0600, that appears whole or not at all. Raises OSError, FileExistsError among them."""
    if file.exists():
        raise FileExistsError(17, _("it is there already"), str(file))
    with tempfile.TemporaryDirectory(dir=file.parent, prefix=".backup-") as folder:
        draft = Path(folder, "draft")
        _touch(draft)
        with zipfile.ZipFile(draft, "w", zipfile.ZIP_DEFLATED, compresslevel=3) as archive:
            yield Writer(archive)
        if passphrase:
            draft = _encrypted(draft, passphrase)
        with draft.open("rb") as written:
            os.fsync(written.fileno())
        # Unlike a rename, a link does not replace a file that has come up in the meantime.
        os.link(draft, file)


def _touch(file: Path) -> None:
    os.close(os.open(file, os.O_CREAT | os.O_EXCL | os.O_WRONLY, 0o600))


def _encrypted(plain: Path, passphrase: str) -> Path:
    identity = pyrage.x25519.Identity.generate()
    sealed = plain.with_name("sealed")
    _touch(sealed)
    with zipfile.ZipFile(sealed, "w", zipfile.ZIP_STORED) as outer:
        outer.writestr(KEY, pyrage.passphrase.encrypt(str(identity).encode(), passphrase))
        with plain.open("rb") as source, outer.open(BODY, "w", force_zip64=True) as target:
            pyrage.encrypt_io(source, target, [identity.to_public()])
    return sealed


class Reader:
    """A backup whose parts are all there and unchanged."""

    def __init__(self, archive: zipfile.ZipFile) -> None:
        self._archive = archive
        self.manifest = self._read_manifest()
        self._verify()

    @property
    def parts(self) -> dict[str, dict[str, Any]]:
        """What the manifest says of each part: `sha256`, `lines`, and more."""
        parts: dict[str, dict[str, Any]] = self.manifest["parts"]
        return parts

    def lines(self, name: str) -> Iterator[bytes]:
        """The lines of a part."""
        with self._archive.open(name) as part:
            yield from part

    def _read_manifest(self) -> dict[str, Any]:
        try:
            manifest = json.loads(self._archive.read(MANIFEST))
            is_ours = manifest["format"] == FORMAT and isinstance(manifest["parts"], dict)
        except (KeyError, ValueError, TypeError, zipfile.BadZipFile) as error:
            raise NotABackup(_("The file is not a backup of Mutirão.")) from error
        if not is_ours:
            raise NotABackup(_("The file is not a backup of Mutirão."))
        if manifest["version"] != VERSION:
            raise NotABackup(_("The backup was made by a newer version of Mutirão; restore it with that version."))
        return dict(manifest)

    def _verify(self) -> None:
        if set(self._archive.namelist()) != {MANIFEST, *self.parts}:
            raise NotABackup(_("The backup lacks parts, or has foreign ones."))
        for name, facts in self.parts.items():
            if self._digest(name) != facts["sha256"]:
                raise NotABackup(_("The backup is damaged: %(part)s is not what it was.") % {"part": name})

    def _digest(self, name: str) -> str:
        try:
            with self._archive.open(name) as part:
                return hashlib.file_digest(part, "sha256").hexdigest()  # type: ignore[arg-type]
        except (zipfile.BadZipFile, OSError, EOFError) as error:
            raise NotABackup(_("The backup is damaged: %(part)s is not what it was.") % {"part": name}) from error


def is_encrypted(file: Path) -> bool:
    """Whether it needs a passphrase. Raises NotABackup and OSError."""
    with _opened(file) as archive:
        return BODY in archive.namelist()


@contextmanager
def reading(file: Path, *, passphrase: str = "") -> Iterator[Reader]:
    """The backup in a file, verified. What is decrypted lies in a temporary file of its owner alone until the end.

    Raises NotABackup, OSError.
    """
    with tempfile.TemporaryFile() as clear, _opened(file) as archive:
        if BODY not in archive.namelist():
            yield Reader(archive)
            return
        _decrypt(archive, passphrase, clear)
        with zipfile.ZipFile(clear) as inner:
            yield Reader(inner)


@contextmanager
def _opened(file: Path) -> Iterator[zipfile.ZipFile]:
    try:
        archive = zipfile.ZipFile(file)
    except zipfile.BadZipFile as error:
        raise NotABackup(_("The file is not a backup of Mutirão.")) from error
    with archive:
        yield archive


def _identity(sealed: bytes, passphrase: str) -> str:
    """The key of the backup. age refuses work that would take it too long by its own estimate, which is wrong on a
    machine that is busy at that moment, so it is asked more than once.
    """
    for _try in range(TRIES):
        try:
            opened: bytes = pyrage.passphrase.decrypt(sealed, passphrase)
        except pyrage.DecryptError as error:
            if "work" not in str(error).lower():
                raise NotABackup(_("The passphrase is not the one of this backup.")) from error
        else:
            return opened.decode()
    raise NotABackup(_("To open the backup would take this machine too long; try again when it is less busy."))


def _decrypt(archive: zipfile.ZipFile, passphrase: str, target: IO[bytes]) -> None:
    if not passphrase:
        raise NotABackup(_("The backup is encrypted; it needs its passphrase."))
    identity = _identity(archive.read(KEY), passphrase)
    try:
        with archive.open(BODY) as sealed:
            pyrage.decrypt_io(sealed, target, [pyrage.x25519.Identity.from_str(identity)])
    except (pyrage.DecryptError, zipfile.BadZipFile, OSError) as error:
        raise NotABackup(_("The backup is damaged: %(part)s is not what it was.") % {"part": BODY}) from error
    target.seek(0)
