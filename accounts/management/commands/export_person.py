"""`manage.py export_person`: everything that is kept of a person, in one file."""

from __future__ import annotations

from argparse import ArgumentParser
from pathlib import Path
from typing import Any

from django.core.management.base import BaseCommand, CommandError
from django.utils.translation import gettext as _

from accounts.audit import SYSTEM
from accounts.erasing import person_named
from accounts.exceptions import AccountError
from accounts.personal_data import write_export


class Command(BaseCommand):
    help = "Writes everything that is kept of a person to a new zip file that only you can read. Never secrets."

    def add_arguments(self, parser: ArgumentParser) -> None:
        parser.add_argument("--user", required=True, help="whose data: a name or an id")
        parser.add_argument("--output", required=True, type=Path, help="the file to make; it must not exist")

    def handle(self, *args: Any, **options: Any) -> None:
        file: Path = options["output"]
        try:
            size = write_export(file, user=person_named(options["user"]), actor=SYSTEM)
        except AccountError as error:
            raise CommandError(str(error)) from error
        except OSError as error:
            said = {"file": file, "reason": error.strerror}
            raise CommandError(_("%(file)s cannot be written: %(reason)s.") % said) from error
        self.stdout.write(_("%(size)d bytes are in %(file)s.") % {"size": size, "file": file})
