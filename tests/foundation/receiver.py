"""A small server of one's own, for what is sent to addresses that users give."""

from __future__ import annotations

import socket
import ssl
import threading
from collections.abc import Callable

Say = Callable[[socket.socket], None]


class Receiver:
    """A server of one's own: `answer(connection)` says what it does with each connection."""

    def __init__(self, answer: Callable[[socket.socket], None], tls: ssl.SSLContext | None = None) -> None:
        self._listener = socket.create_server(("127.0.0.1", 0))
        self._answer, self._tls = answer, tls
        self.port = self._listener.getsockname()[1]
        self.heard: list[bytes] = []
        threading.Thread(target=self._serve, daemon=True).start()

    def _serve(self) -> None:
        while True:
            try:
                connection, _peer = self._listener.accept()
            except OSError:
                return
            threading.Thread(target=self._talk, args=(connection,), daemon=True).start()

    def _talk(self, connection: socket.socket) -> None:
        try:
            with connection:
                wrapped = self._tls.wrap_socket(connection, server_side=True) if self._tls else connection
                with wrapped:
                    self.heard.append(_request(wrapped))
                    self._answer(wrapped)
        except OSError:
            return

    def close(self) -> None:
        self._listener.close()


def _request(connection: socket.socket) -> bytes:
    """Headers and as much of a body as they announce."""
    data = b""
    while b"\r\n\r\n" not in data:
        data += connection.recv(65536)
    head, _, body = data.partition(b"\r\n\r\n")
    lengths = [line.split(b":")[1] for line in head.split(b"\r\n") if line.lower().startswith(b"content-length:")]
    while lengths and len(body) < int(lengths[0]):
        body += connection.recv(65536)
    return head + b"\r\n\r\n" + body


def saying(status: str = "200 OK", body: bytes = b"fine", *headers: str) -> Callable[[socket.socket], None]:
    lines = "".join(f"{line}\r\n" for line in (f"HTTP/1.1 {status}", f"Content-Length: {len(body)}", *headers))
    return lambda connection: connection.sendall(lines.encode() + b"\r\n" + body)
