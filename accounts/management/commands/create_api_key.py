"""`manage.py create_api_key`: prints the key, and nothing else."""

from __future__ import annotations

from argparse import ArgumentParser
from datetime import timedelta
from typing import Any

from django.core.management.base import BaseCommand, CommandError
from django.utils import timezone

from accounts.audit import SYSTEM
from accounts.exceptions import AccountError
from accounts.issuing import issue_api_key
from accounts.models import User
from accounts.scopes import SCOPES

MOST_DAYS = 36_500


class Command(BaseCommand):
    help = "Makes an API key of a person or a service account and prints it. It cannot be shown again."

    def add_arguments(self, parser: ArgumentParser) -> None:
        parser.add_argument("--user", required=True, help="whose key it is")
        parser.add_argument("--name", required=True, help="what it is for")
        parser.add_argument(
            "--scope", action="append", default=[], help=f"narrows it; may be repeated: {', '.join(SCOPES)}"
        )
        parser.add_argument(
            "--agent", action="append", default=[], help="the slug of an agent that it may use; may be repeated"
        )
        parser.add_argument(
            "--address", action="append", default=[], help="a network that it may be used from; may be repeated"
        )
        parser.add_argument("--expires-in-days", type=int, help="(default: never)")

    def handle(self, *args: Any, **options: Any) -> None:
        owner = User.objects.filter(username=options["user"], is_active=True).first()
        if owner is None:
            raise CommandError(f"There is no active user named {options['user']!r}.")
        days = options["expires_in_days"]
        if days is not None and not 1 <= days <= MOST_DAYS:
            raise CommandError(f"A key has to live for 1 to {MOST_DAYS} days.")
        if not 0 < len(options["name"]) <= 100:
            raise CommandError("The name has to have 1 to 100 characters.")
        try:
            issued = issue_api_key(
                owner=owner,
                name=options["name"],
                scopes=options["scope"],
                agents=options["agent"],
                addresses=options["address"],
                expires_at=timezone.now() + timedelta(days=days) if days else None,
                actor=SYSTEM,
            )
        except AccountError as error:
            raise CommandError(str(error)) from error
        self.stdout.write(issued.key)
