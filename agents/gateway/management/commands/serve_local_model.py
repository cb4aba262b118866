"""`manage.py serve_local_model`."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from django.conf import settings
from django.core.management.base import BaseCommand, CommandError, CommandParser

from agents.gateway.exceptions import GatewayError
from agents.gateway.providers import require_local_packages
from agents.gateway.serving import serve


class Command(BaseCommand):
    help = "Serves the local model on 127.0.0.1 until it is told to stop."
    requires_system_checks = ()

    def add_arguments(self, parser: CommandParser) -> None:
        parser.add_argument("--only-if-free", action="store_true", help="End at once when another process serves it.")

    def handle(self, *args: Any, **options: Any) -> None:
        try:
            require_local_packages()
            serve(Path(settings.RUN_DIR), only_if_free=options["only_if_free"])
        except GatewayError as error:
            raise CommandError(str(error)) from error
