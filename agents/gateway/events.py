"""Server-sent events, as much of them as answers of models need (https://html.spec.whatwg.org/multipage/server-sent-events.html)."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import Final

from agents.gateway.exceptions import BrokenAnswer

LONGEST_EVENT: Final = 16_000_000


def data_of(chunks: Iterable[bytes]) -> Iterator[bytes]:
    """The data of each event; comments and other fields are passed over. Raises BrokenAnswer for an endless one."""
    left, data, size = b"", list[bytes](), 0
    for chunk in chunks:
        *lines, left = (left + chunk).split(b"\n")
        for line in lines:
            if line.startswith(b"data:"):
                data.append(_value(line))
                size += len(line)
            elif data and line in (b"", b"\r"):
                yield b"\n".join(data)
                data.clear()
                size = 0
        if size + len(left) > LONGEST_EVENT:
            raise BrokenAnswer
    if left.startswith(b"data:"):
        data.append(_value(left))
    if data:
        yield b"\n".join(data)


def _value(line: bytes) -> bytes:
    return line[5:].removeprefix(b" ").removesuffix(b"\r")
