"""`manage.py doctor`: what is broken and what to do about it."""

from __future__ import annotations

import json
from argparse import ArgumentParser
from dataclasses import asdict
from typing import Any

from django.core.management.base import BaseCommand, CommandError

from mutirao.diagnosis import Finding, Level, diagnose

MARKS = {Level.OK: "ok  ", Level.WARNING: "warn", Level.CRITICAL: "FAIL"}


class Command(BaseCommand):
    help = "Looks at everything this platform needs. Exit code 1 when something critical is wrong."
    requires_system_checks = ()

    def add_arguments(self, parser: ArgumentParser) -> None:
        parser.add_argument("--json", action="store_true", help="print a JSON document")

    def handle(self, *args: Any, **options: Any) -> None:
        found = diagnose()
        if options["json"]:
            self.stdout.write(json.dumps({"findings": [asdict(finding) for finding in found]}, indent=2))
        else:
            for finding in found:
                self._show(finding)
        critical = sum(finding.level is Level.CRITICAL for finding in found)
        if critical:
            raise CommandError(f"{critical} critical finding(s).")

    def _show(self, finding: Finding) -> None:
        self.stdout.write(f"{MARKS[finding.level]}  {finding.subject:<12}{finding.sentence}")
        if finding.advice:
            self.stdout.write(f"      {'':<12}{finding.advice}")
