"""`manage.py worker_alive`: the health check of a worker's container."""

from __future__ import annotations

import socket
from typing import Any

from django.core.management.base import BaseCommand, CommandError
from django.utils.translation import gettext as _

from agents.worker.models import WorkerProcess


class Command(BaseCommand):
    help = "Exit code 0 when a worker of this host has shown a sign of life within the last 30 seconds, else 1."
    requires_system_checks = ()

    def handle(self, *args: Any, **options: Any) -> None:
        # A worker that is connected and takes nothing would answer a ping; its row grows old.
        here = WorkerProcess.objects.filter(name__startswith=f"{socket.gethostname()}-")
        if not here.alive().exists():
            raise CommandError(_("No worker of this host is alive."))
