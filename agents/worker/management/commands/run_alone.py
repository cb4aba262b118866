"""`manage.py run_alone QUEUE …`: what a worker starts for tasks that may have killed their process."""

from __future__ import annotations

import signal
from typing import Any

from django.core.management.base import BaseCommand, CommandParser
from django.utils.translation import gettext as _


class Command(BaseCommand):
    """Not for people, though it does no harm: it ends when there is no such task."""

    help = "Runs tasks that may have killed their process, one after the other, in this one"

    def add_arguments(self, parser: CommandParser) -> None:
        """Queues, and the worker that wants it."""
        parser.add_argument("queues", nargs="+", help="The queues to take tasks from.")
        parser.add_argument("--worker", default="by-hand", help="The name of the worker that has started this.")

    def handle(self, *args: Any, **options: Any) -> None:
        """Says how many ran."""
        from agents.definitions.services import sync_agents
        from agents.runtime import tracing
        from agents.worker.alone import run_suspects
        from agents.worker.keeper import Keeper

        keeper = Keeper()
        for stopping in (signal.SIGTERM, signal.SIGINT):
            signal.signal(stopping, lambda *_signal: keeper.stop())
        tracing.start()
        sync_agents()
        done = run_suspects(keeper=keeper, queues=options["queues"], worker=options["worker"])
        self.stdout.write(_("Tasks run alone: %(done)d.") % {"done": done})
