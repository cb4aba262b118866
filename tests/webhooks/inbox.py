"""A receiver of webhooks that answers as it is told to."""

from __future__ import annotations

from collections import deque
from dataclasses import dataclass, field
from email.parser import BytesParser

from tests.foundation.receiver import Receiver, Say, saying


@dataclass(frozen=True)
class Message:
    """A webhook as it arrived."""

    path: str
    headers: dict[str, str]
    body: bytes

    @classmethod
    def of(cls, request: bytes) -> Message:
        head, _, body = request.partition(b"\r\n\r\n")
        first, _, lines = head.partition(b"\r\n")
        headers = {name.lower(): value for name, value in BytesParser().parsebytes(lines).items()}
        return cls(first.split()[1].decode(), headers, body)


@dataclass
class Inbox:
    """A receiver; `answers` are given in turn, then 200."""

    answers: deque[Say] = field(default_factory=deque)

    def __post_init__(self) -> None:
        self._server = Receiver(lambda connection: (self.answers.popleft() if self.answers else saying())(connection))

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self._server.port}/hook"

    @property
    def messages(self) -> list[Message]:
        """What has arrived."""
        return [Message.of(request) for request in self._server.heard]

    def say(self, *statuses: str, headers: tuple[str, ...] = (), body: bytes = b"") -> None:
        """The next answers."""
        self.answers += [saying(status, body, *headers) for status in statuses]

    def close(self) -> None:
        self._server.close()
