"""`manage.py rotate_secrets`: seals every secret anew under the first of MUTIRAO_ENCRYPTION_KEYS."""

from __future__ import annotations

from typing import Any

from django.core.management.base import BaseCommand, CommandError
from django.utils.translation import gettext as _

from foundation.resealing import reseal_all


class Command(BaseCommand):
    """May run beside a working platform, and again."""

    help = "Seals every stored secret anew under the first key of MUTIRAO_ENCRYPTION_KEYS, so that older keys can go"

    def handle(self, *args: Any, **options: Any) -> None:
        """Says what was done in each column; fails when a secret could not be opened."""
        found = reseal_all()
        for name, done in found.items():
            said = {"name": name, "changed": done.changed, "kept": done.kept, "unreadable": done.unreadable}
            self.stdout.write(
                _("%(name)s: %(changed)d sealed anew, %(kept)d as they were, %(unreadable)d unreadable") % said
            )
        if any(done.unreadable for done in found.values()):
            raise CommandError(_("Some secrets are under none of the keys; keep all keys, and set those secrets anew."))
