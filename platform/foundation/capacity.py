"""How much may go to one place at a time and in a minute, for all processes together.

Places at a time are leases: that of a process which died frees itself. Tokens are known only after a call, so a call is
let through while those of the last minute are below the bound. Counted in `foundation.loads`: one visit to Redis on the
way in, one on the way out, none where nothing is bounded. While Redis is away every process counts its own.
"""

from __future__ import annotations

import time
import uuid
from types import TracebackType
from typing import Final, Self

from foundation.loads import Caps, Load, Loads, LocalLoads, shared_loads
from foundation.sharing import Sharing

__all__ = ["LEASE_SECONDS", "Capacity", "CapacityFull", "Caps", "Load", "Slot"]

LEASE_SECONDS: Final = 600.0


class CapacityFull(Exception):
    """As much as is allowed is on its way already."""

    def __init__(self, key: str, *, retry_after: float) -> None:
        super().__init__(self.__doc__)
        self.key, self.retry_after = key, retry_after


class Slot:
    """One place. Leaving twice is leaving once."""

    def __init__(self, capacity: Capacity, key: str, caps: Caps, *, token: str, lease_seconds: float) -> None:
        self._capacity, self._key, self._caps, self._token = capacity, key, caps, token
        self._lease_seconds, self._renewed_at = lease_seconds, time.monotonic()
        self._tokens, self._is_left = 0, False

    def used(self, tokens: int) -> None:
        """Counts tokens in: with leaving, or at once when the place is left already."""
        if not self._is_left:
            self._tokens += tokens
        elif self._caps.tokens_per_minute is not None and tokens:
            self._capacity.leave(self._key, token=uuid.uuid4().hex, tokens=tokens)

    def renew(self) -> None:
        """Says that the call goes on, for instance with each piece of a stream. Redis hears of it when half of the
        lease is over.
        """
        now = time.monotonic()
        if self._is_left or self._caps.concurrent is None or now < self._renewed_at + self._lease_seconds / 2:
            return
        self._renewed_at = now
        self._capacity.renew(self._key, token=self._token, lease_seconds=self._lease_seconds)

    def leave(self) -> None:
        """Gives the place back."""
        if self._is_left:
            return
        self._is_left = True
        tokens = self._tokens if self._caps.tokens_per_minute is not None else 0
        if self._caps.concurrent is not None or tokens:
            self._capacity.leave(self._key, token=self._token, tokens=tokens)

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.leave()


class Capacity:
    """The places of everything, by key. `loads` is for tests."""

    def __init__(self, *, loads: Loads | None = None) -> None:
        self._loads: Sharing[Loads] = Sharing("capacity", shared=shared_loads, own=LocalLoads, given=loads)

    def enter(self, key: str, caps: Caps, *, lease_seconds: float = LEASE_SECONDS) -> Slot:
        """A place, for `lease_seconds` (give the call's deadline) or until it is left. Raises CapacityFull."""
        token = uuid.uuid4().hex
        slot = Slot(self, key, caps, token=token, lease_seconds=lease_seconds)
        if caps.are_none:
            return slot
        lease = _milliseconds(lease_seconds)
        if wait := self._loads.ask(lambda loads: loads.enter(key, caps, token=token, lease=lease)):
            raise CapacityFull(key, retry_after=wait / 1000)
        return slot

    def leave(self, key: str, *, token: str, tokens: int) -> None:
        """Gives a place back; see Slot."""
        self._loads.ask(lambda loads: loads.leave(key, token=token, tokens=tokens))

    def renew(self, key: str, *, token: str, lease_seconds: float) -> None:
        """Keeps a place; see Slot."""
        self._loads.ask(lambda loads: loads.renew(key, token=token, lease=_milliseconds(lease_seconds)))

    def load(self, key: str) -> Load:
        """What is on its way to this key, and what went there in the last minute."""
        return self._loads.ask(lambda loads: loads.load(key))

    def forget(self) -> None:
        """Tries Redis again at once (for tests)."""
        self._loads.forget()


def _milliseconds(seconds: float) -> int:
    return max(int(seconds * 1000), 1)
