"""The same figures as the ledger's, for Prometheus."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from telemetry import metrics
from telemetry.metrics import bounded

ROUTE = "route:"


@metrics.harmless
def count_call(call: Mapping[str, Any]) -> None:
    """Counts one call by the columns of its row."""
    model = (call["provider"], bounded("model", call["model"]))
    metrics.MODEL_CALLS.labels(*model, call["outcome"]).inc()
    if call.get("tier"):
        _count_hit(call)
    else:
        metrics.MODEL_SECONDS.labels(*model).observe(call["latency_ms"] / 1000)
        if call["first_token_ms"] is not None:
            metrics.FIRST_TOKEN_SECONDS.labels(*model).observe(call["first_token_ms"] / 1000)
        _count_spending(model, call)
    if call["route"].startswith(ROUTE):
        metrics.ROUTE_CALLS.labels(bounded("route", call["route"].removeprefix(ROUTE)), call["outcome"]).inc()
    for each in call["tries"]:
        if each["deployment"]:
            metrics.MODEL_TRIES.labels(bounded("deployment", each["deployment"]), each["outcome"]).inc()
    if call.get("cache_why"):
        metrics.CACHE_DECISIONS.labels(bounded("why", call["cache_why"])).inc()


def _count_spending(model: tuple[str, str], call: Mapping[str, Any]) -> None:
    if call["input_tokens"]:
        metrics.TOKENS.labels(*model, "input").inc(call["input_tokens"])
    if call["output_tokens"]:
        metrics.TOKENS.labels(*model, "output").inc(call["output_tokens"])
    if call["cost"] is None:
        metrics.UNPRICED_CALLS.labels(*model).inc()
    elif call["cost"]:
        metrics.COST.labels(*model).inc(float(call["cost"]))


def _count_hit(call: Mapping[str, Any]) -> None:
    tier = call["tier"]
    metrics.CACHE_HITS.labels(tier).inc()
    metrics.SAVED_SECONDS.labels(tier).inc(max(call["saved_ms"], 0) / 1000)
    metrics.SAVED_TOKENS.labels(tier, "input").inc(call["saved_input_tokens"])
    metrics.SAVED_TOKENS.labels(tier, "output").inc(call["saved_output_tokens"])
    if call["saved_cost"]:
        metrics.SAVED_COST.labels(tier).inc(float(call["saved_cost"]))
