"""`manage.py sync_agents`: agents defined in code become rows."""

from __future__ import annotations

from typing import Any

from django.core.management.base import BaseCommand

from agents.definitions.services import sync_agents


class Command(BaseCommand):
    help = "Makes and updates the rows of the agents that are defined in code (after a deploy; `up` does it)."

    def handle(self, *args: Any, **options: Any) -> None:
        for slug in sync_agents():
            self.stdout.write(slug)
