"""`manage.py export`: agents, roles and what else can be kept in a file."""

from __future__ import annotations

from argparse import ArgumentParser
from pathlib import Path
from typing import Any

from django.core.management.base import BaseCommand, CommandError
from django.utils.translation import gettext as _

from foundation.portable import kinds
from mutirao import portable


class Command(BaseCommand):
    help = "Writes agents made in the admin, roles and the like to a YAML file, for `apply`. Never secrets."

    def add_arguments(self, parser: ArgumentParser) -> None:
        parser.add_argument("file", help="where to; - for the terminal")
        parser.add_argument("--only", action="append", choices=[*kinds()], help="this kind alone; may be repeated")

    def handle(self, *args: Any, **options: Any) -> None:
        text = portable.write(portable.read_all(options["only"]))
        if options["file"] == "-":
            self.stdout.write(text, ending="")
            return
        try:
            Path(options["file"]).write_text(text, encoding="utf-8")
        except OSError as error:
            raise CommandError(
                _("%(file)s cannot be written: %(reason)s.") % {"file": options["file"], "reason": error.strerror}
            ) from error
