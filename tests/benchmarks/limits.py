"""What rate limits and quotas cost."""

from __future__ import annotations

import json

from tests.site import Site


def measure_limits(site: Site) -> dict[str, float]:
    """Mark → milliseconds, medians."""
    measured = site.manage("measure_limits", timeout=120)
    assert measured.returncode == 0, measured.stderr
    found: dict[str, float] = json.loads(measured.stdout.splitlines()[-1])
    return found
