"""`manage.py backup FILE`: everything in one file, while the platform runs."""

from __future__ import annotations

from argparse import ArgumentParser
from pathlib import Path
from typing import Any

from django.core.management.base import BaseCommand, CommandError
from django.utils.translation import gettext as _

from mutirao.backup import NotBackedUp, make_backup
from mutirao.passphrases import new_passphrase


class Command(BaseCommand):
    help = (
        "Writes a backup of this moment: all rows, and the secrets that keep them valid. Safe while the platform runs."
    )

    def add_arguments(self, parser: ArgumentParser) -> None:
        parser.add_argument("file", type=Path, help="the file to make; it must not exist")
        parser.add_argument(
            "--encrypt", action="store_true", help="under MUTIRAO_BACKUP_PASSPHRASE, or a passphrase that is asked for"
        )

    def handle(self, *args: Any, **options: Any) -> None:
        file: Path = options["file"]
        passphrase = new_passphrase() if options["encrypt"] else ""
        try:
            made = make_backup(file, passphrase=passphrase)
        except NotBackedUp as error:
            raise CommandError(str(error)) from error
        except OSError as error:
            raise CommandError(
                _("%(file)s cannot be written: %(reason)s.") % {"file": file, "reason": error.strerror}
            ) from error
        self.stdout.write(
            _("%(rows)d rows of %(tables)d tables, and the secrets of this installation, are in %(file)s.")
            % {"rows": made.rows, "tables": made.tables, "file": file}
        )
        if not passphrase:
            self.stderr.write(_("It is not encrypted (--encrypt): keep it where only you can read it."))
