"""Files that are made while they are sent: nothing of them is kept in memory, whatever their size."""

from __future__ import annotations

from collections.abc import AsyncIterator, Iterator
from typing import Any

from django.core.handlers.asgi import ASGIRequest
from django.http import StreamingHttpResponse

from foundation.threads import in_thread

PIECE_BYTES = 64 * 1024


def download(request: Any, chunks: Iterator[bytes], *, name: str, content_type: str) -> StreamingHttpResponse:
    """The answer to this request (of Django or of DRF): a file of this name from these chunks.

    `chunks` may ask the database; no thread and no connection is held while the receiver reads.
    """
    asked = getattr(request, "_request", request)
    pieces = _pieces(chunks)
    body = _in_thread(pieces) if isinstance(asked, ASGIRequest) else pieces
    return StreamingHttpResponse(
        body,
        content_type=content_type,
        headers={"Content-Disposition": f'attachment; filename="{name}"', "Cache-Control": "no-store"},
    )


async def _in_thread(pieces: Iterator[bytes]) -> AsyncIterator[bytes]:
    while (piece := await in_thread(next, pieces, None)) is not None:
        yield piece


def _pieces(chunks: Iterator[bytes]) -> Iterator[bytes]:
    """Large enough that each is worth a visit to a thread."""
    piece = bytearray()
    for chunk in chunks:
        piece += chunk
        if len(piece) >= PIECE_BYTES:
            yield bytes(piece)
            piece.clear()
    if piece:
        yield bytes(piece)
