from __future__ import annotations

import os

from django.apps import AppConfig

from tests.parts.chaos import faults


class ChaosConfig(AppConfig):
    name = "tests.parts.chaos"

    def ready(self) -> None:
        """Faults for a process that is started and not forked: what a worker starts itself."""
        faults.install(os.environ.get(faults.VARIABLE, ""))
