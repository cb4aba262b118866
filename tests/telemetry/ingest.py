"""Small local servers that speak what Sentry's and LangSmith's clients send: envelopes, and multipart runs."""

from __future__ import annotations

import gzip
import json
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from email.parser import BytesParser
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

import zstandard

LANGSMITH_INFO = {
    "version": "0.12.0",
    "instance_flags": {"zstd_compression_enabled": True},
    "batch_ingest_config": {
        "use_multipart_body_enabled": True,
        "scale_up_qsize_trigger": 1000,
        "scale_up_nthreads_limit": 16,
        "scale_down_nempty_trigger": 4,
        "size_limit": 100,
        "size_limit_bytes": 20971520,
    },
}


@dataclass(frozen=True)
class Received:
    """One request, its body decompressed."""

    method: str
    path: str
    headers: dict[str, str]
    body: bytes


@dataclass
class Ingest:
    """What a server has received so far."""

    url: str = ""
    port: int = 0
    received: list[Received] = field(default_factory=list)

    @property
    def dsn(self) -> str:
        """As Sentry gives it to its clients."""
        return f"http://public@127.0.0.1:{self.port}/7"

    @property
    def everything(self) -> str:
        """All bodies as one text, for what may not be in there."""
        return "\n".join(each.body.decode(errors="replace") for each in self.received)

    def events(self) -> list[dict[str, Any]]:
        """The events in the envelopes: a line of header, then for each item a line of header and its payload."""
        found = []
        for each in self.received:
            if each.path.startswith("/api/7/envelope"):
                lines = each.body.split(b"\n")
                pairs = zip(lines[1::2], lines[2::2], strict=False)
                found += [json.loads(payload) for head, payload in pairs if json.loads(head)["type"] == "event"]
        return found

    def runs(self) -> dict[str, dict[str, Any]]:
        """Run id → its fields, put together from the parts `post.<id>`, `post.<id>.inputs`, `patch.<id>.outputs` …"""
        runs: dict[str, dict[str, Any]] = {}
        for each in self.received:
            if each.path.endswith("/runs/multipart"):
                for name, value in _parts(each):
                    _event, run_id, *rest = name.split(".")
                    run = runs.setdefault(run_id, {})
                    run.update({rest[0]: value} if rest else value)
        return runs


def _parts(request: Received) -> Iterator[tuple[str, Any]]:
    head = f"Content-Type: {request.headers['content-type']}\r\n\r\n".encode()
    for part in BytesParser().parsebytes(head + request.body).walk():
        name = part.get_param("name", header="content-disposition")
        payload = part.get_payload(decode=True)
        if isinstance(name, str) and isinstance(payload, bytes):
            yield name, json.loads(payload)


def _read(handler: BaseHTTPRequestHandler) -> bytes:
    if handler.headers.get("Transfer-Encoding") != "chunked":
        return handler.rfile.read(int(handler.headers.get("Content-Length", 0)))
    pieces = []
    while size := int(handler.rfile.readline().strip(), 16):
        pieces.append(handler.rfile.read(size))
        handler.rfile.readline()
    handler.rfile.readline()
    return b"".join(pieces)


def _decoded(body: bytes, encoding: str) -> bytes:
    if encoding == "gzip":
        return gzip.decompress(body)
    if encoding == "zstd":
        return zstandard.ZstdDecompressor().decompressobj().decompress(body)
    return body


@contextmanager
def ingest() -> Iterator[Ingest]:
    """A server that takes in whatever it is sent, and tells LangSmith's client what it can."""
    found = Ingest()

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            self._answer(200, LANGSMITH_INFO)

        def do_POST(self) -> None:
            headers = {name.lower(): value for name, value in self.headers.items()}
            body = _decoded(_read(self), headers.get("content-encoding", ""))
            found.received.append(Received("POST", self.path, headers, body))
            self._answer(202, {})

        do_PATCH = do_POST  # noqa: N815 (the name that http.server looks for)

        def _answer(self, status: int, data: dict[str, Any]) -> None:
            text = json.dumps(data).encode()
            self.send_response(status)
            self.send_header("Content-Type", "application/json")
            self.send_header("Content-Length", str(len(text)))
            self.end_headers()
            self.wfile.write(text)

        def log_message(self, *_: Any) -> None: ...

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    server.daemon_threads = True
    found.port = server.server_port
    found.url = f"http://127.0.0.1:{server.server_port}"
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.02})
    thread.start()
    try:
        yield found
    finally:
        server.shutdown()
        server.server_close()
        thread.join()
