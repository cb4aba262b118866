"""What still has to be sent before a process ends, in bounded time."""

from __future__ import annotations

import threading
from collections.abc import Callable

SECONDS = 2.0

_senders: dict[str, Callable[[], object]] = {}


def register(name: str, send: Callable[[], object]) -> None:
    """`send` delivers what waits; it may hang, and is then left behind."""
    _senders[name] = send


def send_the_rest(*, within: float = SECONDS) -> None:
    """Lets everybody deliver at the same time; after so many seconds the process goes on without them."""
    threads = [threading.Thread(target=send, name=f"farewell-{name}", daemon=True) for name, send in _senders.items()]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(within)
