"""What there are rights to in this room."""

from __future__ import annotations

from accounts.resources import Verb, extend_resource


def register() -> None:
    """Called when the application starts: workers are seen with the rest of telemetry."""
    extend_resource("telemetry", {Verb.VIEW: ("agents_worker.view_workerprocess",)})
