"""What is counted, where, and who may read it."""

from __future__ import annotations

import os
from pathlib import Path

from mutirao.settings.environment import env
from mutirao.settings.models import RUN_DIR


def _counting_in(directory: Path) -> Path | None:
    """Makes the folder; None where that is impossible: every process then counts for itself (`doctor` says so)."""
    try:
        RUN_DIR.mkdir(parents=True, exist_ok=True, mode=0o700)
        directory.mkdir(parents=True, exist_ok=True, mode=0o700)
    except OSError:
        return None
    return directory if os.access(directory, os.W_OK) else None


# One file for each process and kind of metric. prometheus_client reads the variable when it is imported, which is
# after the settings.
METRICS_DIR = _counting_in(Path(os.environ.get("PROMETHEUS_MULTIPROC_DIR") or RUN_DIR / "metrics"))
if METRICS_DIR is None:
    os.environ.pop("PROMETHEUS_MULTIPROC_DIR", None)
else:
    os.environ["PROMETHEUS_MULTIPROC_DIR"] = str(METRICS_DIR)

# Beside this machine: addresses and networks (10.0.0.0/8), and a bearer token.
METRICS_ALLOW: list[str] = env.list("MUTIRAO_METRICS_ALLOW", default=[])
METRICS_TOKEN: str = env("MUTIRAO_METRICS_TOKEN", default="")
# A worker serves its own figures when it has a port: in a container where no web process reads its files.
WORKER_METRICS_HOST: str = env("MUTIRAO_WORKER_METRICS_HOST", default="127.0.0.1")
WORKER_METRICS_PORT: int = env.int("MUTIRAO_WORKER_METRICS_PORT", default=0)
