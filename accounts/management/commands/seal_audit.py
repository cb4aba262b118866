"""`manage.py seal_audit`: seals the audit log as it is now, and prints the seal."""

from __future__ import annotations

from argparse import ArgumentParser
from typing import Any

from django.core.management.base import BaseCommand, CommandError
from django.utils.translation import gettext as _

from accounts.seals import line_of, seal, sign_again
from accounts.verifying import verify
from accounts.walking import ChainBroken


class Command(BaseCommand):
    help = "Verifies what has come since the last seal, seals it, and prints the seal as a line of JSON."

    def add_arguments(self, parser: ArgumentParser) -> None:
        parser.add_argument(
            "--again",
            action="store_true",
            help="verify everything, and sign the old seals with the first of MUTIRAO_ENCRYPTION_KEYS too",
        )

    def handle(self, *args: Any, **options: Any) -> None:
        try:
            made = seal()
        except ChainBroken as error:
            raise CommandError(str(error)) from error
        if made is not None:
            self.stdout.write(line_of(made))
        else:
            self.stderr.write(_("Nothing is new since the last seal."))
        if options["again"]:
            found = verify()
            if found.broken is not None:
                raise CommandError(found.broken.sentence)
            self.stderr.write(_("%(count)d seals were signed again.") % {"count": sign_again()})
