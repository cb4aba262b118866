"""`manage.py apply`: makes agents, roles and the like as a file says."""

from __future__ import annotations

import sys
from argparse import ArgumentParser
from pathlib import Path
from typing import Any

from django.core.management.base import BaseCommand, CommandError
from django.utils.translation import gettext as _

from foundation.portable import NotApplicable
from mutirao import portable


class Command(BaseCommand):
    help = "Makes agents, roles and the like as a file from `export` says: all or nothing. What it does not name stays."

    def add_arguments(self, parser: ArgumentParser) -> None:
        parser.add_argument("file", help="YAML or JSON; - for standard input")
        parser.add_argument("--dry-run", action="store_true", help="only show what would change")

    def handle(self, *args: Any, **options: Any) -> None:
        try:
            document = portable.parse(self._read(options["file"]))
            changes = portable.apply(document, is_rehearsal=options["dry_run"])
        except NotApplicable as error:
            raise CommandError(str(error)) from error
        self.stdout.write(changes or _("Nothing to change."))

    def _read(self, name: str) -> str:
        if name == "-":
            return sys.stdin.read()
        try:
            return Path(name).read_text(encoding="utf-8")
        except (OSError, UnicodeDecodeError) as error:
            reason = getattr(error, "strerror", None) or _("it is not text")
            raise CommandError(_("%(file)s cannot be read: %(reason)s.") % {"file": name, "reason": reason}) from error
