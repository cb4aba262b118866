"""`manage.py reset_second_factor`: lets somebody back in who has lost their second factor and its recovery codes."""

from __future__ import annotations

from argparse import ArgumentParser
from typing import Any

from django.core.management.base import BaseCommand, CommandError

from accounts.audit import SYSTEM
from accounts.models import User
from accounts.services import reset_second_factor


class Command(BaseCommand):
    help = "Takes off somebody's second factor. Make sure first that it is really them who asks."

    def add_arguments(self, parser: ArgumentParser) -> None:
        parser.add_argument("--user", required=True, help="whose second factor it is")

    def handle(self, *args: Any, **options: Any) -> None:
        name = options["user"]
        user = User.objects.filter(username=name).first()
        if user is None:
            raise CommandError(f"There is no user named {name!r}.")
        if not reset_second_factor(user=user, actor=SYSTEM):
            raise CommandError(f"{name} has no second factor.")
        self.stdout.write(f"The password alone lets {name} in now.")
