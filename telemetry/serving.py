"""/metrics of a process that serves nothing else: a worker in a container of its own."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterable
from socketserver import ThreadingMixIn
from typing import Any
from wsgiref.simple_server import WSGIRequestHandler, WSGIServer, make_server

import structlog
from django.core.handlers.wsgi import WSGIRequest
from django.http import HttpResponse
from django.urls import set_script_prefix

from foundation.threads import close_connections
from telemetry.views import metrics

logger = structlog.get_logger(__name__)

PATH = "/metrics"
StartResponse = Callable[[str, list[tuple[str, str]]], object]


class _Server(ThreadingMixIn, WSGIServer):
    daemon_threads = True


class _Quiet(WSGIRequestHandler):
    # A stranger who connects and says nothing holds a thread no longer than this.
    timeout = 10

    def log_message(self, format: str, *args: Any) -> None:  # noqa: A002 (the library's word)
        """Nobody reads a line for each scrape."""


def application(environ: dict[str, Any], start_response: StartResponse) -> Iterable[bytes]:
    """The same view as the web's, with the same rules for who may read it; 404 for anything else."""
    set_script_prefix("/")
    if environ.get("REQUEST_METHOD") == "GET" and environ.get("PATH_INFO") == PATH:
        try:
            response = metrics(WSGIRequest(environ))
        finally:
            close_connections()
    else:
        response = HttpResponse(status=404)
    start_response(f"{response.status_code} {response.reason_phrase}", [*response.items()])
    return [response.content]


def serve(*, host: str, port: int) -> WSGIServer | None:
    """Serves from a thread until the process ends; None, with a line in the log, when the port is taken."""
    try:
        server = make_server(host, port, application, server_class=_Server, handler_class=_Quiet)
    except OSError as error:
        logger.warning("metrics_not_served", host=host, port=port, error=str(error))
        return None
    threading.Thread(target=server.serve_forever, name="metrics", daemon=True).start()
    return server
