"""The web process: static files outside Django, everything else inside."""

from __future__ import annotations

import asyncio
import os

import django
from django.conf import settings

os.environ.setdefault("DJANGO_SETTINGS_MODULE", "mutirao.settings")
django.setup(set_prefix=False)

from django.urls import get_resolver  # noqa: E402 (after the set-up)
from servestatic import ServeStaticASGI  # noqa: E402

from agents.api import hub  # noqa: E402
from foundation import batches  # noqa: E402
from foundation.asgi import Handler, Receive, Scope, Send  # noqa: E402


async def _start() -> None:
    await hub.start()
    batches.start_all()


async def _stop() -> None:
    await hub.stop()
    await asyncio.to_thread(batches.stop_all)


_django = Handler(on_start=_start, on_stop=_stop)
_static = ServeStaticASGI(
    _django,
    root=str(settings.STATIC_ROOT) if settings.STATIC_ROOT.is_dir() else None,
    prefix=f"/{settings.STATIC_URL.strip('/')}/",
)
# The first request shall not pay for importing every view.
get_resolver().url_patterns  # noqa: B018


async def application(scope: Scope, receive: Receive, send: Send) -> None:
    """HTTP and lifespan; WebSockets are refused by the server, as nothing here accepts them."""
    if scope["type"] == "http":
        await _static(scope, receive, send)
    else:
        await _django(scope, receive, send)
