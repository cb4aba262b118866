"""An OpenAI-compatible server that follows a script."""

from __future__ import annotations

import json
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any


@dataclass(frozen=True)
class Answer:
    """What one request gets after `delay` seconds: an error `status`, or `pieces` as SSE; `breaks` ends the stream
    without its end.
    """

    status: int = 200
    pieces: tuple[str, ...] = ("Good", " day")
    headers: dict[str, str] = field(default_factory=dict)
    breaks: bool = False
    delay: float = 0.0


class Upstream:
    """Its `answers` in order (the last one for ever) and the `requests` it got."""

    def __init__(self, *answers: Answer) -> None:
        self.answers = list(answers)
        self.requests: list[dict[str, Any]] = []
        self.url = ""

    def next(self, request: dict[str, Any]) -> Answer:
        self.requests.append(request)
        return self.answers.pop(0) if len(self.answers) > 1 else self.answers[0]


@contextmanager
def upstream(*answers: Answer) -> Iterator[Upstream]:
    script = Upstream(*answers)

    class Handler(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            length = int(self.headers["Content-Length"])
            answer = script.next(json.loads(self.rfile.read(length)))
            time.sleep(answer.delay)
            self.send_response(answer.status)
            for name, value in answer.headers.items():
                self.send_header(name, value)
            self.end_headers()
            if answer.status != 200:
                self.wfile.write(b'{"error": {"message": "refused sk-test-secret-key"}}')
                return
            for piece in answer.pieces:
                self._send({"choices": [{"index": 0, "delta": {"role": "assistant", "content": piece}}]})
            if answer.breaks:
                self._send({"error": {"message": "broken"}})
                return
            usage = {"prompt_tokens": 7, "completion_tokens": 2, "total_tokens": 9}
            self._send({"choices": [], "usage": usage})
            self.wfile.write(b"data: [DONE]\n\n")

        def _send(self, data: dict[str, Any]) -> None:
            body = {"id": "1", "object": "chat.completion.chunk", "created": 1, "model": "m", **data}
            self.wfile.write(f"data: {json.dumps(body)}\n\n".encode())

        def log_message(self, *_: Any) -> None: ...

    class Server(ThreadingHTTPServer):
        # Many callers may come at the same moment.
        request_queue_size = 128

    server = Server(("127.0.0.1", 0), Handler)
    script.url = f"http://127.0.0.1:{server.server_port}/v1"
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.02})
    thread.start()
    try:
        yield script
    finally:
        server.shutdown()
        server.server_close()
        thread.join()
