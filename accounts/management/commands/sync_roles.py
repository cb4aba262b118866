"""`manage.py sync_roles`: new rights for the roles that ship."""

from __future__ import annotations

from typing import Any

from django.core.management.base import BaseCommand, CommandError, CommandParser
from django.utils.translation import gettext as _

from accounts.exceptions import AccountError, UnknownRole
from accounts.roles import BUILT_IN, sync_role


class Command(BaseCommand):
    """Adds to the roles that ship the rights that a newer version of Mutirão gives them."""

    help = (
        "Adds to the roles that ship what they lack of the rights that this version gives them, and prints it. "
        "Nothing is taken away; roles of your own stay as they are."
    )

    def add_arguments(self, parser: CommandParser) -> None:
        """`--role`, once or more."""
        parser.add_argument("--role", action="append", metavar="NAME", help="Only this role; may be repeated.")

    def handle(self, *args: Any, **options: Any) -> None:
        """Prints one line for each role that got something."""
        added = {name: self._sync(name) for name in options["role"] or BUILT_IN}
        for name, permissions in added.items():
            if permissions:
                self.stdout.write(f"{name}: {', '.join(permissions)}")
        if not any(added.values()):
            self.stdout.write(_("Nothing to add."))

    def _sync(self, name: str) -> list[str]:
        try:
            return sync_role(name=name)
        except UnknownRole as error:
            ships = ", ".join(BUILT_IN)
            raise CommandError(
                _("“%(name)s” does not ship; these do: %(ships)s.") % {"name": name, "ships": ships}
            ) from error
        except AccountError as error:
            raise CommandError(str(error)) from error
