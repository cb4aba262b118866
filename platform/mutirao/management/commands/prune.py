"""`manage.py prune`: deletes what is older than this installation keeps."""

from __future__ import annotations

from argparse import ArgumentParser
from typing import Any

from django.core.management.base import BaseCommand, CommandError
from django.utils.translation import gettext as _
from django.utils.translation import ngettext

from agents.runtime.housekeeping import forget_finished
from foundation.pruning import Rule, rules


class Command(BaseCommand):
    help = "Deletes what is older than this installation keeps (MUTIRAO_KEEP_…_DAYS). Safe while the platform runs."

    def add_arguments(self, parser: ArgumentParser) -> None:
        names = [rule.name for rule in rules()]
        parser.add_argument("--dry-run", action="store_true", help="only say what would be deleted")
        parser.add_argument("--only", action="append", choices=names, help="this kind alone; may be repeated")
        parser.add_argument("--days", type=int, help="keep this many days, instead of what is set; needs --only")

    def handle(self, *args: Any, **options: Any) -> None:
        only, days = options["only"], options["days"]
        if days is not None and (not only or days < 1):
            raise CommandError(_("--days needs --only and a number of at least 1."))
        for rule in rules():
            if not only or rule.name in only:
                self._apply(rule, days=days, is_rehearsal=options["dry_run"])
        if not options["dry_run"]:
            # A worker does it too; there may be none.
            forget_finished()

    def _apply(self, rule: Rule, *, days: int | None, is_rehearsal: bool) -> None:
        due = rule.due(days=days)
        if due is None:
            said = _("kept for ever")
        elif is_rehearsal:
            count = due.count()
            said = ngettext("%(count)d would be deleted", "%(count)d would be deleted", count) % {"count": count}
        else:
            count = sum(rule.delete(due))
            said = ngettext("%(count)d deleted", "%(count)d deleted", count) % {"count": count}
        self.stdout.write(f"{rule.title}: {said}")
