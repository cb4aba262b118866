"""How the breakers stand, asked when Prometheus looks."""

from __future__ import annotations

from collections.abc import Iterator

from prometheus_client.core import GaugeMetricFamily
from prometheus_client.metrics_core import Metric

from agents.circuits.models import State
from agents.circuits.services import standings
from telemetry.metrics import register_system

VALUES = {State.CLOSED: 0, State.HALF_OPEN: 1, State.OPEN: 2}


def states() -> Iterator[Metric]:
    """One value for each thing that is protected."""
    gauge = GaugeMetricFamily(
        "mutirao_circuit_state", "0: closed, 1: half-open, 2: open, by what it protects.", labels=["kind", "name"]
    )
    for standing in standings():
        gauge.add_metric([standing.protected.kind, standing.protected.name], VALUES[State(standing.state)])
    yield gauge


def register() -> None:
    """Called when the application starts."""
    register_system("circuits", states)
