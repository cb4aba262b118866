"""A web process with calls in its ledger that is told to stop. `MUTIRAO_TEST_NO_STOP` takes the safeguard away."""

from __future__ import annotations

import os
from typing import Any

# First: it sets Django up.
from mutirao.asgi import application as site  # isort: split

from agents.gateway.data import CallContext
from agents.gateway.recording import Recording
from foundation import batches

CALLS = int(os.environ["MUTIRAO_TEST_CALLS"])
MODEL = os.environ["MUTIRAO_TEST_MODEL"]

if "MUTIRAO_TEST_NO_STOP" in os.environ:
    batches.stop_all = lambda **_options: None


def _call() -> None:
    context = CallContext()
    for _ in range(CALLS):
        Recording(f"scripted:{MODEL}", context, 4).finish()


async def application(scope: dict[str, Any], receive: Any, send: Any) -> None:
    """The site; when it has begun, its ledger is filled."""

    async def telling(message: Any) -> None:
        if message["type"] == "lifespan.startup.complete":
            _call()
        await send(message)

    await site(scope, receive, telling if scope["type"] == "lifespan" else send)
