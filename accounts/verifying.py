"""Verifies the whole chain of audit events: every event against its digests, the one before it, and the seals."""

from __future__ import annotations

import time
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from django.utils.translation import gettext as _

from accounts import chain, links
from accounts.links import Link
from accounts.models import AuditEvent, AuditSeal
from accounts.walking import Break, ChainBroken, Walk
from foundation.encryption import is_signed

BATCH = 1_000
# A message names that many of the events that are not ours.
MOST_NAMED = 3


@dataclass(frozen=True, slots=True)
class Verification:
    """What was found. `first` and `last` are positions; `broken` is the first break, None when all is whole."""

    events: int
    first: int
    last: int
    shredded: int
    seals: int
    seconds: float
    broken: Break | None = None

    @property
    def is_whole(self) -> bool:
        """Nothing is wrong."""
        return self.broken is None

    @property
    def events_a_second(self) -> int:
        """How fast it went."""
        return int(self.events / self.seconds) if self.seconds else 0


def verify(*, kept_outside: Iterable[Link] = ()) -> Verification:
    """Chains what is left over, then walks the chain in batches. `kept_outside` are seals that were kept elsewhere."""
    chain.chain_all()
    kept = [*kept_outside]
    while True:
        start = _boundary()
        found = _verify_from(start, kept)
        # When old events were deleted meanwhile, they are not missing.
        if found.is_whole or _boundary() == start:
            return found


def verify_since(position: int, hash: str) -> Walk:  # noqa: A002 (the column's name)
    """Walks from after this position to the end, as far as it is now. Raises ChainBroken."""
    walk = Walk(position, hash, deeds=_Deeds(), with_proofs=position > 0)
    for link in links_after(position):
        if broken := walk.take(link):
            raise ChainBroken(broken)
    return walk


def check_one(event: AuditEvent) -> Break | None:
    """What is wrong with this event and its place, as far as it, the one before it and its seals can tell."""
    if event.position is None:
        return None if links.is_proven(chain.link_of(event)) or not event.digests else _not_ours()
    before = AuditEvent.objects.filter(position=event.position - 1).values_list("hash", flat=True).first()
    start = _boundary()
    if before is None and start is not None and start["position"] == event.position - 1:
        before = start["hash"]
    walk = Walk(event.position - 1, before or "", deeds=_Deeds())
    take_seals(walk, [*_seals().filter(position=event.position)], since=0)
    walk.with_proofs = links.PROOF in (event.digests or {})
    return walk.take(chain.link_of(event))


def links_after(position: int) -> Iterator[Link]:
    """The chain after this position, in batches: no statement is open in between, and memory is bounded."""
    while batch := [
        *AuditEvent.objects.filter(position__gt=position).order_by("position").values(*links.COLUMNS)[:BATCH]
    ]:
        yield from batch
        position = batch[-1]["position"]


def is_genuine(seal: Link) -> bool:
    """Whether the seal is signed with one of the installation's keys."""
    return is_signed(links.seal_text(seal), str(seal["signature"]), purpose=links.SEAL)


def _boundary() -> Link | None:
    """The seal at which retention has cut last."""
    found: Link | None = _seals().filter(reason=AuditSeal.Reason.RETENTION).order_by("-position").first()
    return found


def _seals() -> Any:
    return AuditSeal.objects.order_by("position", "id").values(*links.SEAL_COLUMNS)


def _verify_from(start: Link | None, kept: list[Link]) -> Verification:
    begun = time.perf_counter()
    walk = Walk(deeds=_Deeds())
    if start is not None:
        # What came before is gone; the oldest events that are left may be those with proofs already.
        walk.position, walk.hash = start["position"], start["hash"]
    first = walk.position + 1
    seals = [*_seals().iterator(chunk_size=BATCH), *kept]
    broken = take_seals(walk, seals, since=walk.position)
    if broken is None:
        broken = next(filter(None, map(walk.take, links_after(walk.position))), None)
    broken = broken or walk.end() or _not_ours()
    seconds = time.perf_counter() - begun
    # One that is kept in two places is one.
    count = len({str(seal["signature"]) for seal in seals})
    return Verification(walk.events, first, walk.position, walk.shredded, count, seconds, broken)


def take_seals(walk: Walk, seals: Iterable[Link], *, since: int) -> Break | None:
    """Hands the walk what the seals say. Of two that contradict each other one is of another chain."""
    known: dict[int, str] = {}
    for seal in seals:
        position = int(seal["position"])
        if not is_genuine(seal):
            sentence = _("The seal of event #%(position)d is forged, or the key that signed it is gone.")
            return Break("forged", sentence % {"position": position}, position)
        if known.setdefault(position, seal["hash"]) != seal["hash"]:
            sentence = _("Two seals of event #%(position)d contradict each other.")
            return Break("rewritten", sentence % {"position": position}, position)
    walk.seals = {position: sealed for position, sealed in known.items() if position > since}
    walk.covered = max(walk.seals, default=0)
    return None


def _not_ours() -> Break | None:
    """Events that could not be chained: nobody but the platform writes any."""
    ids = [str(pk) for pk in chain.unchained().values_list("pk", flat=True)[: MOST_NAMED + 1]]
    # What was written a moment ago is about to be chained.
    ids = [pk for pk in ids if not _is_about_to_be_chained(pk)]
    if not ids:
        return None
    sentence = _("There are events that this platform did not write, and that are in no chain: %(ids)s.")
    return Break("inserted", sentence % {"ids": ", ".join(ids[:MOST_NAMED])})


def _is_about_to_be_chained(pk: str) -> bool:
    row = AuditEvent.objects.filter(pk=pk).first()
    return row is None or row.position is not None or links.is_proven(chain.link_of(row))


class _Deeds:
    """What deeds say they have shredded; each is looked up once."""

    def __init__(self) -> None:
        self._known: dict[Any, Any] = {}

    def __call__(self, deed_id: Any) -> Any:
        if deed_id not in self._known:
            self._known[deed_id] = self._find(deed_id)
        return self._known[deed_id]

    def _find(self, deed_id: Any) -> Any:
        deed: Mapping[str, Any] | None = AuditEvent.objects.filter(pk=deed_id).values(*links.COLUMNS).first()
        # Without a place it has not been walked over, or will not be: its proof has to speak for it.
        if deed is None or (deed["position"] is None and not links.is_proven(deed)):
            return None
        return deed["digests"].get(links.SHREDS)
