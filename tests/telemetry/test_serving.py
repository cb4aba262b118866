"""A worker's own /metrics."""

from __future__ import annotations

import socket
import urllib.error
import urllib.request
from collections.abc import Iterator
from typing import Any

import pytest

from telemetry import metrics
from telemetry.serving import serve


@pytest.fixture
def port(transactional_db: None) -> Iterator[int]:
    """A server on a free port."""
    server = serve(host="127.0.0.1", port=0)
    assert server is not None
    yield server.server_port
    server.shutdown()
    server.server_close()


def _get(port: int, path: str, **headers: str) -> tuple[int, str]:
    request = urllib.request.Request(f"http://127.0.0.1:{port}{path}", headers=headers)
    try:
        with urllib.request.urlopen(request, timeout=10) as response:  # noqa: S310 (our own)
            return response.status, response.read().decode()
    except urllib.error.HTTPError as error:
        with error:
            return error.code, error.read().decode()


def test_a_worker_serves_what_it_counts_under_the_same_rules(port: int) -> None:
    metrics.TASKS_STARTED.labels("served-by-a-worker").inc()
    status, text = _get(port, "/metrics")
    assert status == 200
    assert 'mutirao_tasks_started_total{agent="served-by-a-worker"}' in text
    assert "mutirao_system_answered" in text
    status, text = _get(port, "/metrics", **{"X-Forwarded-For": "192.0.2.8"})
    assert (status, "mutirao_" in text) == (403, False)
    assert _get(port, "/")[0] == 404


def test_a_taken_port_is_a_line_in_the_log_and_no_error(caplog: Any) -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        assert serve(host="127.0.0.1", port=taken.getsockname()[1]) is None
    assert "metrics_not_served" in caplog.text
