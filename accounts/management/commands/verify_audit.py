"""`manage.py verify_audit`: is the audit log as it was written?"""

from __future__ import annotations

import json
from argparse import ArgumentParser
from dataclasses import asdict
from pathlib import Path
from typing import Any

from django.core.management.base import BaseCommand, CommandError
from django.utils.translation import gettext as _

from accounts.links import Link
from accounts.record_export import BadExport, verify_export
from accounts.seals import BadSeals, read_seals
from accounts.verifying import Verification, verify


class Command(BaseCommand):
    help = (
        "Walks the chain of audit events and tells the first that was changed, removed, added or moved. Exit code 1 "
        "when there is one."
    )
    # An exported file can be verified on a machine where nothing else is set up.
    requires_system_checks: list[str] = []

    def add_arguments(self, parser: ArgumentParser) -> None:
        parser.add_argument("--seals", type=Path, help="seals that were kept outside, a line of JSON each")
        parser.add_argument("--export", type=Path, help="verify this exported file (JSON lines), without the database")
        parser.add_argument("--json", action="store_true", help="tell it as JSON")

    def handle(self, *args: Any, **options: Any) -> None:
        try:
            seals = self._seals(options["seals"])
            found = verify_export(options["export"], seals) if options["export"] else verify(kept_outside=seals)
        except (BadSeals, BadExport) as error:
            raise CommandError(str(error)) from error
        except OSError as error:
            said = {"file": error.filename, "reason": error.strerror}
            raise CommandError(_("%(file)s cannot be read: %(reason)s.") % said) from error
        self._tell(found, as_json=options["json"])

    def _seals(self, file: Path | None) -> list[Link]:
        return [*read_seals(file)] if file else []

    def _tell(self, found: Verification, *, as_json: bool) -> None:
        if as_json:
            facts = {"whole": found.is_whole, **asdict(found), "events_a_second": found.events_a_second}
            self.stdout.write(json.dumps(facts))
        if found.broken is not None:
            raise CommandError(found.broken.sentence)
        if not as_json:
            said = _(
                "Whole: %(events)d events (#%(first)d to #%(last)d, %(shredded)d of them shredded) and %(seals)d "
                "seals, %(speed)d events a second."
            )
            self.stdout.write(said % {**asdict(found), "speed": found.events_a_second})
