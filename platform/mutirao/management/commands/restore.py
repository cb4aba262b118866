"""`manage.py restore FILE`: a backup becomes this installation."""

from __future__ import annotations

from argparse import ArgumentParser
from pathlib import Path
from typing import Any

from django.core.management.base import BaseCommand, CommandError
from django.utils.translation import gettext as _

from mutirao.archive import NotABackup, is_encrypted, reading
from mutirao.backup import KEYS
from mutirao.home import HomeError
from mutirao.passphrases import known_passphrase
from mutirao.restoring import NotRestored, restore, secrets_in


class Command(BaseCommand):
    help = "Restores a backup into an installation that is stopped: all of it or nothing."
    requires_system_checks = ()

    def add_arguments(self, parser: ArgumentParser) -> None:
        parser.add_argument("file", type=Path, help="what `backup` made")
        parser.add_argument("--force", action="store_true", help="replace everything in an installation that is in use")
        parser.add_argument(
            "--secrets", type=Path, metavar="FOLDER",
            help="only write the secrets of the backup into this folder, a file each, and stop",
        )  # fmt: skip

    def handle(self, *args: Any, **options: Any) -> None:
        file: Path = options["file"]
        try:
            passphrase = known_passphrase() if is_encrypted(file) else ""
            if options["secrets"]:
                self._write_secrets(file, passphrase, options["secrets"])
                return
            restored = restore(file, passphrase=passphrase, may_replace=options["force"])
        except (NotABackup, NotRestored, HomeError) as error:
            raise CommandError(str(error)) from error
        except OSError as error:
            raise CommandError(f"{error.filename or file}: {error.strerror}.") from error
        self.stdout.write(
            _("%(rows)d rows of the backup of %(moment)s are restored.")
            % {"rows": restored.rows, "moment": restored.made_at}
        )

    def _write_secrets(self, file: Path, passphrase: str, folder: Path) -> None:
        folder.mkdir(parents=True, exist_ok=True, mode=0o700)
        with reading(file, passphrase=passphrase) as backup:
            for name, value in secrets_in(backup).items():
                if name in KEYS:
                    target = folder / name.lower()
                    target.touch(mode=0o600, exist_ok=False)
                    target.write_text(value)
                    self.stdout.write(str(target))
