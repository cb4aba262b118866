"""The alerts speak of metrics that exist, and the guide has a word for each."""

from __future__ import annotations

import re
from pathlib import Path

import yaml
from prometheus_client import REGISTRY

from agents.webhooks import measuring as webhooks
from mutirao import measures
from telemetry import metrics

ROOT = Path(__file__).resolve().parents[2]
RULES = yaml.safe_load((ROOT / "telemetry" / "prometheus" / "alerts.yml").read_text())["groups"][0]["rules"]
OF_THE_SYSTEM = (measures.queues, measures.schedules, measures.leases, measures.workers, webhooks.waiting)
GUIDE = (ROOT / "docs" / "on-call.md").read_text()


def _names() -> set[str]:
    """Every sample's name that /metrics can show."""
    families = {family.name for family in REGISTRY.collect() if family.name.startswith("mutirao_")}
    own = {family.name for collect in OF_THE_SYSTEM for family in collect()}
    suffixes = ("", "_total", "_bucket", "_count", "_sum")
    return {f"{name}{suffix}" for name in families | own | {"mutirao_system_answered"} for suffix in suffixes}


def test_every_alert_asks_for_metrics_that_exist(db: None) -> None:
    known = _names()
    assert metrics.REQUESTS._name == "mutirao_requests"
    for rule in RULES:
        asked = set(re.findall(r"\bmutirao_[a-z_]+", rule["expr"]))
        assert asked <= known, rule["alert"]


def test_every_alert_has_a_severity_a_summary_and_a_line_in_the_guide() -> None:
    assert len(RULES) >= 10
    for rule in RULES:
        assert rule["labels"]["severity"] in {"warning", "critical"}
        assert rule["annotations"]["summary"]
        name = rule["alert"].replace("VeryLate", "Late")
        assert f"`{name}`" in GUIDE, name


def test_every_metric_is_explained(db: None) -> None:
    names = {family.name for family in REGISTRY.collect() if family.name.startswith("mutirao_")}
    own = {family.name for collect in OF_THE_SYSTEM for family in collect()}
    assert {name for name in names | own if name not in GUIDE} == set()
