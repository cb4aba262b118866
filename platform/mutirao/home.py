"""MUTIRAO_HOME, the folder where everything of one installation lies, and the file with its environment.

Imports nothing of Django: the file has to be there before settings are read.
"""

from __future__ import annotations

import fcntl
import os
import secrets
import tempfile
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import IO
from urllib.parse import urlsplit

from cryptography.fernet import Fernet

from mutirao.embedded import EmbeddedValkey, free_port, is_free

HEADER = "# Made by `make up`. Secrets: keep it to yourself, and back it up with the data.\n"


class HomeError(Exception):
    """The folder of the installation cannot be used."""


def read_environment(file: Path) -> dict[str, str]:
    """The NAME=value lines of the file; empty when there is none."""
    if not file.is_file():
        return {}
    pairs = (line.partition("=") for line in file.read_text().splitlines() if not line.startswith("#"))
    return {name: value for name, separator, value in pairs if separator}


@dataclass(frozen=True)
class Home:
    """One installation's folder."""

    path: Path

    @property
    def environment_file(self) -> Path:
        return self.path / "environment"

    @property
    def run_dir(self) -> Path:
        """What is only true while it runs: locks, process ids, addresses."""
        return self.path / "run"

    def make(self) -> None:
        """Creates the folder. Raises HomeError when that, or writing into it, is impossible."""
        try:
            self.run_dir.mkdir(parents=True, exist_ok=True, mode=0o700)
            with tempfile.TemporaryFile(dir=self.path):
                pass
        except OSError as error:
            message = (
                f"The folder {self.path} cannot be written to ({error.strerror}); set MUTIRAO_HOME to another one."
            )
            raise HomeError(message) from error

    def lock(self, *, address: str) -> IO[str]:
        """Takes the installation for this process for as long as the file that is given stays open."""
        file = (self.run_dir / "up.lock").open("a+")
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError as error:
            file.seek(0)
            where = file.read().strip() or "another process"
            file.close()
            message = (
                f"Mutirão already runs on {self.path} ({where}); stop it first, or set MUTIRAO_HOME to another folder."
            )
            raise HomeError(message) from error
        file.truncate(0)
        file.write(f"process {os.getpid()}, {address}\n")
        file.flush()
        return file

    def prepare_environment(self, environ: Mapping[str, str]) -> bool:
        """Completes the environment file with what `environ` does not give; whether that changed the file."""
        known = read_environment(self.environment_file)
        given = {name for name, value in environ.items() if value and known.get(name) != value}
        wanted = dict(known)
        for name in ("SECRET_KEY", "JWT_SIGNING_KEY"):
            if name not in given:
                wanted.setdefault(name, secrets.token_urlsafe(48))
        if "MUTIRAO_ENCRYPTION_KEYS" not in given:
            wanted.setdefault("MUTIRAO_ENCRYPTION_KEYS", Fernet.generate_key().decode())
        if "REDIS_URL" not in given:
            wanted["REDIS_URL"] = self._valkey_at(known.get("REDIS_URL", "")).url
        wanted.setdefault("MUTIRAO_HTTPS", "0")
        if wanted == known:
            return False
        self.write_environment(wanted)
        return True

    def embedded_valkey(self, environ: Mapping[str, str]) -> EmbeddedValkey | None:
        """The embedded server, if it is the one that REDIS_URL means."""
        url = read_environment(self.environment_file).get("REDIS_URL", "")
        return self._valkey_at(url) if url and environ.get("REDIS_URL", url) == url else None

    def without_file(self, environ: Mapping[str, str]) -> dict[str, str]:
        """`environ` less what was read from the file, for a process that shall read it again."""
        known = read_environment(self.environment_file)
        return {name: value for name, value in environ.items() if known.get(name) != value}

    def _valkey_at(self, url: str) -> EmbeddedValkey:
        directory = self.path / "valkey"
        parts = urlsplit(url)
        if not parts.port or not parts.password:
            return EmbeddedValkey(directory)
        port = parts.port if is_free(parts.port) else free_port()
        return EmbeddedValkey(directory, port=port, password=parts.password)

    def write_environment(self, values: Mapping[str, str]) -> None:
        """Puts a new environment file in the place of the old one, readable by its owner alone."""
        draft = self.environment_file.with_suffix(".new")
        draft.unlink(missing_ok=True)
        draft.touch(mode=0o600)
        draft.write_text(HEADER + "".join(f"{name}={value}\n" for name, value in sorted(values.items())))
        draft.replace(self.environment_file)
