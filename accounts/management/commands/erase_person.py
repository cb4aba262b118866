"""`manage.py erase_person`: forgets a person, but for what accounting needs."""

from __future__ import annotations

from argparse import ArgumentParser
from typing import Any

from django.core.management.base import BaseCommand, CommandError
from django.utils.translation import gettext as _

from accounts.audit import SYSTEM
from accounts.erasing import PATIENCE_SECONDS, erase_person, person_named
from accounts.exceptions import AccountError


class Command(BaseCommand):
    help = (
        "Closes an account for good and erases what is kept of the person; tokens, costs and times stay without a "
        "name. Backups are not touched. Run it again when it was cut off."
    )

    def add_arguments(self, parser: ArgumentParser) -> None:
        parser.add_argument("--user", required=True, help="who: a name or an id")
        parser.add_argument("--yes", action="store_true", help="do not ask")
        parser.add_argument(
            "--wait", type=float, default=PATIENCE_SECONDS, help="seconds to wait for tasks that run (default: 30)"
        )

    def handle(self, *args: Any, **options: Any) -> None:
        try:
            user = person_named(options["user"])
            if not options["yes"]:
                self._ask(user.username)
            erased = erase_person(user=user, actor=SYSTEM, patience=options["wait"])
        except AccountError as error:
            raise CommandError(str(error)) from error
        for name, count in erased.rows.items():
            self.stdout.write(f"{name}: {count}")
        said = {"name": erased.name, "events": erased.events}
        self.stdout.write(_("What is left is called %(name)s; %(events)d audit events were shredded.") % said)

    def _ask(self, name: str) -> None:
        question = _("This cannot be undone. Type the user name (%(name)s) to go on: ") % {"name": name}
        if input(question).strip() != name:
            raise CommandError(_("Nothing was erased."))
