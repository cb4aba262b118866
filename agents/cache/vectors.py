"""The vectors of the live entries, one matrix a scope, in this process's memory as far as settings allow.

A matrix is read when first needed and then follows the rows: a look reads those that are new, at most once a second.
What was evicted or has expired may still stand in it: whoever gives an entry reads its row first, and drops it here.
"""

from __future__ import annotations

import threading
import time
import uuid
from collections import OrderedDict
from collections.abc import Iterator
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final

import numpy as np
from django.conf import settings
from django.utils import timezone

from agents.cache.models import CacheEntry

if TYPE_CHECKING:
    import numpy.typing as npt

    Vector = npt.NDArray[np.float32]

LOOK_SECONDS: Final = 1.0
# Rows of other processes may become visible in another order than their ids'.
LATE_MS: Final = 30_000
# After that a matrix is read anew: what is gone leaves it, whatever nobody has asked for.
RELOAD_SECONDS: Final = 600.0
MOST_AT_ONCE: Final = 500
GROWTH: Final = 1.25
FIRST_ROWS: Final = 4


@dataclass(frozen=True, slots=True)
class Candidate:
    """An entry and its cosine to what is asked."""

    entry_id: uuid.UUID
    similarity: float
    vector: Vector


class Matrix:
    """The entries of one scope: ids and vectors in rows of two arrays, the newest last."""

    def __init__(self, scope: str, embedding: str) -> None:
        self.guard = threading.Lock()
        self.count = 0
        self._scope, self._embedding = scope, embedding
        self._vectors: Vector = np.zeros((0, 0), np.float32)
        self._ids: npt.NDArray[np.uint8] = np.zeros((0, 16), np.uint8)
        self._known: set[bytes] = set()
        self._looked = self._loaded = float("-inf")
        self._newest = uuid.UUID(int=0)
        # Of `rows`, what its owner has counted.
        self.counted = 0

    @property
    def rows(self) -> int:
        """How many it has memory for; an empty one counts as one, as it takes some too."""
        return max(1, len(self._vectors))

    @property
    def memory_bytes(self) -> int:
        """Of the arrays, and about that of the set of ids."""
        return self._vectors.nbytes + self._ids.nbytes + len(self._known) * 100

    def follow(self) -> None:
        """Reads what is new. The caller holds the guard."""
        now = time.monotonic()
        if now - self._looked < LOOK_SECONDS:
            return
        if now - self._loaded > RELOAD_SECONDS:
            self._clear(now)
        self._looked = now
        for row in self._rows():
            self._add(*row)

    def add(self, entry_id: uuid.UUID, vector: bytes) -> None:
        """One that this process has kept. The caller holds the guard."""
        self._add(entry_id, vector)

    def drop(self, entry_id: uuid.UUID) -> None:
        """One that is no more. The caller holds the guard."""
        at = np.flatnonzero((self._ids[: self.count] == np.frombuffer(entry_id.bytes, np.uint8)).all(axis=1))
        if not at.size:
            return
        last = self.count - 1
        self._ids[at[0]], self._vectors[at[0]] = self._ids[last], self._vectors[last]
        self.count = last
        # It stays known, so that a row which is evicted while we read does not come back.

    def nearest(self, vector: Vector, *, most: int, floor: float) -> list[Candidate]:
        """The best first. The caller holds the guard."""
        if not self.count or vector.shape[0] != self._vectors.shape[1]:
            return []
        cosines = self._vectors[: self.count] @ vector
        best = np.argpartition(cosines, -most)[-most:] if self.count > most else np.arange(self.count)
        best = best[np.argsort(-cosines[best])]
        return [
            Candidate(uuid.UUID(bytes=self._ids[at].tobytes()), float(cosines[at]), self._vectors[at].copy())
            for at in best
            if cosines[at] >= floor
        ]

    def _rows(self) -> Iterator[tuple[uuid.UUID, Any]]:
        live = CacheEntry.objects.filter(
            scope=self._scope, evicted_at=None, embedding=self._embedding, is_exact_only=False, vector__isnull=False,
            expires_at__gt=timezone.now(),
        )  # fmt: skip
        if self.count:
            # Most of those that are looked at again are known: their vectors are not read again.
            late = live.filter(id__gt=_earlier(self._newest)).values_list("id", flat=True)
            new = [entry_id for entry_id in late if entry_id.bytes not in self._known]
            for start in range(0, len(new), MOST_AT_ONCE):
                yield from (
                    live.filter(id__in=new[start : start + MOST_AT_ONCE]).order_by("id").values_list("id", "vector")
                )
            return
        newest = [*live.order_by("-id").values_list("id", flat=True)[settings.CACHE_MOST_IN_SCOPE - 1 :][:1]]
        if newest:
            live = live.filter(id__gte=newest[0])
        yield from live.order_by("id").values_list("id", "vector").iterator(chunk_size=1000)

    def _add(self, entry_id: uuid.UUID, vector: Any) -> None:
        if entry_id.bytes in self._known:
            return
        row = np.frombuffer(vector, "<f4")
        if self.count and row.shape[0] != self._vectors.shape[1]:
            return
        if self.count >= settings.CACHE_MOST_IN_SCOPE:
            self._drop_oldest()
        if self.count == self._vectors.shape[0]:
            self._grow(row.shape[0])
        self._vectors[self.count], self._ids[self.count] = row, np.frombuffer(entry_id.bytes, np.uint8)
        self._known.add(entry_id.bytes)
        self.count += 1
        self._newest = max(self._newest, entry_id)

    def _grow(self, width: int) -> None:
        rows = min(max(FIRST_ROWS, int(self.count * GROWTH)), max(settings.CACHE_MOST_IN_SCOPE, self.count + 1))
        vectors, ids = np.zeros((rows, width), np.float32), np.zeros((rows, 16), np.uint8)
        if self.count:
            vectors[: self.count], ids[: self.count] = self._vectors[: self.count], self._ids[: self.count]
        self._vectors, self._ids = vectors, ids

    def _drop_oldest(self) -> None:
        """A tenth at once, as it means to move all others."""
        gone = max(1, self.count // 10)
        self._vectors[: self.count - gone] = self._vectors[gone : self.count].copy()
        self._ids[: self.count - gone] = self._ids[gone : self.count].copy()
        self.count -= gone

    def _clear(self, now: float) -> None:
        self.count, self._known, self._newest, self._loaded = 0, set(), uuid.UUID(int=0), now
        self._vectors, self._ids = np.zeros((0, 0), np.float32), np.zeros((0, 16), np.uint8)


class Matrices:
    """Those of this process, the ones used least leaving when they have room for more than CACHE_MOST_VECTORS."""

    def __init__(self) -> None:
        self._guard = threading.Lock()
        self._known: OrderedDict[tuple[str, str], Matrix] = OrderedDict()
        self._rows = 0

    def nearest(self, scope: str, embedding: str, vector: Vector, *, most: int, floor: float) -> list[Candidate]:
        """The live entries of this scope that are nearest, the best first, none of a cosine below `floor`."""
        matrix = self._of(scope, embedding)
        with matrix.guard:
            matrix.follow()
            found = matrix.nearest(vector, most=most, floor=floor)
        self._make_room((scope, embedding), matrix)
        return found

    def add(self, scope: str, embedding: str, entry_id: uuid.UUID, vector: bytes) -> None:
        """An entry that this process has kept; only where the scope is in memory."""
        matrix = self._known.get((scope, embedding))
        if matrix is not None:
            with matrix.guard:
                matrix.add(entry_id, vector)
            self._make_room((scope, embedding), matrix)

    def drop(self, scope: str, embedding: str, entry_id: uuid.UUID) -> None:
        """An entry that is no more."""
        matrix = self._known.get((scope, embedding))
        if matrix is not None:
            with matrix.guard:
                matrix.drop(entry_id)

    def forget(self) -> None:
        """Frees all memory."""
        with self._guard:
            self._known.clear()
            self._rows = 0

    @property
    def count(self) -> int:
        """How many vectors are in memory."""
        return sum(matrix.count for matrix in [*self._known.values()])

    @property
    def memory_bytes(self) -> int:
        """What they take."""
        return sum(matrix.memory_bytes for matrix in [*self._known.values()])

    def _of(self, scope: str, embedding: str) -> Matrix:
        with self._guard:
            matrix = self._known.setdefault((scope, embedding), Matrix(scope, embedding))
            self._known.move_to_end((scope, embedding))
            return matrix

    def _make_room(self, name: tuple[str, str], matrix: Matrix) -> None:
        """After this one may have grown."""
        with self._guard:
            if self._known.get(name) is not matrix:
                # Another thread has let it go meanwhile.
                return
            self._rows += matrix.rows - matrix.counted
            matrix.counted = matrix.rows
            while len(self._known) > 1 and self._rows > settings.CACHE_MOST_VECTORS:
                self._rows -= self._known.popitem(last=False)[1].counted


matrices = Matrices()


def _earlier(entry_id: uuid.UUID) -> uuid.UUID:
    """The least id of LATE_MS before: the first 48 bits of a UUID of version 7 are milliseconds."""
    moment = max(0, (entry_id.int >> 80) - LATE_MS)
    return uuid.UUID(int=moment << 80)
