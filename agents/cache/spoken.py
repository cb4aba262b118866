"""What a caller has been given so far, over one leader of a flight and the next."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING

from agents.cache.pieces import Piece, as_chunk, is_restart, read, same, since_restart, whole
from agents.gateway.exceptions import BrokenAnswer
from agents.gateway.restarts import restart

if TYPE_CHECKING:
    from langchain_core.outputs import ChatGeneration


class Spoken:
    """Lets each piece through once. An answer that begins anew goes on where the one before broke off, as long as it
    says the same; where it does not, the caller is told to forget, and gets it from its beginning.

    Who asked for a whole answer gets it at the end. Who cannot forget gets BrokenAnswer instead of another answer.
    """

    def __init__(self, *, streamed: bool, may_restart: bool = True) -> None:
        self._streamed, self._may_restart = streamed, may_restart
        self._given: list[Piece] = []
        # Of the answer that is coming now.
        self._coming: list[Piece] = []
        self._is_repeating = False

    def begin(self) -> None:
        """An answer comes from its first piece."""
        self._coming = []
        self._is_repeating = bool(self._given) and self._streamed

    def take(self, piece: Piece | None, original: ChatGeneration | None = None) -> Iterator[ChatGeneration]:
        """The next piece of the answer that is coming, and what the caller gets of it. `original` is what it was made
        of; `piece` is None where that cannot be written down.
        """
        if piece is None:
            if original is not None:
                yield from self._restarted()
                yield original
            return
        self._coming.append(piece)
        if self._is_repeating:
            yield from self._compared()
        elif original is not None:
            self._given.append(piece)
            yield original
        elif self._streamed:
            self._check(piece)
            self._given.append(piece)
            yield as_chunk(piece)

    def end(self, *, is_given: bool = False) -> Iterator[ChatGeneration]:
        """The answer has come to its end. `is_given`: the caller has got it as it came."""
        if self._is_repeating and len(self._coming) < len(self._given):
            yield from self._restarted()
        elif not self._streamed and not is_given and (coming := since_restart(self._coming)):
            yield read(whole(coming))

    def _check(self, piece: Piece) -> None:
        """The leader whom this caller reads along with may have begun anew."""
        if not self._may_restart and self._given and is_restart(piece):
            raise BrokenAnswer

    def _compared(self) -> Iterator[ChatGeneration]:
        at = len(self._coming) - 1
        if not same(self._given[at], self._coming[at]):
            yield from self._restarted()
        elif len(self._coming) == len(self._given):
            self._is_repeating = False

    def _restarted(self) -> Iterator[ChatGeneration]:
        """All that is coming, instead of what was given."""
        if not self._is_repeating:
            return
        self._is_repeating = False
        if not self._may_restart:
            raise BrokenAnswer
        yield restart(deployment="", why="another_answer")
        self._given = [*self._coming]
        for piece in self._coming:
            yield as_chunk(piece)
