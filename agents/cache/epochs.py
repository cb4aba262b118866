"""How often the knowledge behind answers has changed, remembered for a moment."""

from __future__ import annotations

import threading
import time
from collections.abc import Iterable

from agents.cache.models import CacheEpoch

SECONDS = 1.0
MOST_REMEMBERED = 1_000

_guard = threading.Lock()
_known: dict[str, tuple[float, int]] = {}


def numbers_of(names: Iterable[str]) -> dict[str, int]:
    """The epoch of each name, up to a second old; 0 for one that has never changed."""
    wanted, now = sorted(set(names)), time.monotonic()
    missing = [name for name in wanted if _known.get(name, (0.0, 0))[0] <= now]
    if missing:
        _look(missing, now + SECONDS)
    return {name: _known.get(name, (0.0, 0))[1] for name in wanted}


def forget() -> None:
    """Asks the database next time."""
    with _guard:
        _known.clear()


def _look(names: list[str], until: float) -> None:
    found = dict(CacheEpoch.objects.filter(name__in=names).values_list("name", "number"))
    with _guard:
        if len(_known) + len(names) > MOST_REMEMBERED:
            _known.clear()
        _known.update({name: (until, found.get(name, 0)) for name in names})
