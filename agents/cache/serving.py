"""One request's way through the cache: the same request, the same in flight, one with the same meaning, the provider.

The cache is never the reason why a call fails: what goes wrong in it is logged now and then, and the provider is asked.
"""

from __future__ import annotations

import time
import uuid
from collections.abc import Generator, Iterator
from typing import TYPE_CHECKING, Any, Final

from django.conf import settings
from django.utils import timezone

from agents.cache import flights, giving, hot, keeping, nearest, observing, pieces, store
from agents.cache.canonical import NotCanonical
from agents.cache.flights import Lead, Told
from agents.cache.harmless import harmless
from agents.cache.hot import Stored
from agents.cache.meaning import meaning
from agents.cache.nearest import Found
from agents.cache.pieces import Piece
from agents.cache.reading import Asked
from agents.cache.spoken import Spoken
from agents.cache.vectors import matrices
from agents.gateway.answers import CallNotes, Provenance
from agents.gateway.answers import Pieces as Ask
from agents.gateway.exceptions import LimitReached
from agents.gateway.models import CacheWhy
from foundation.threads import release_connections

if TYPE_CHECKING:
    from langchain_core.outputs import ChatGeneration

    Given = Iterator[ChatGeneration]


# After so many leaders whose provider failed everybody asks for themselves.
MOST_FAILED: Final = 2


class Serving:
    """One call. `pieces` gives its answer and fills `notes.provenance`."""

    def __init__(self, asked: Asked, ask: Ask, notes: CallNotes) -> None:
        self._asked, self._ask, self._notes = asked, ask, notes
        self._request = asked.request
        self._has_compared = False
        self._found: Found | None = None
        # Under which answers of this agent are hot; None when Redis is away.
        self._number: int | None = None

    def pieces(self) -> Given:
        """From wherever they come."""
        if self._asked.wishes.use == "refresh":
            self._notes.provenance = Provenance(why=CacheWhy.REFRESH)
            yield from self._led(Lead(self._asked.scope.exact, None), self._spoken())
        elif (stored := harmless(self._hot)) is not None:
            yield from self._given(stored)
        else:
            yield from self._in_flight()

    def _spoken(self) -> Spoken:
        return Spoken(streamed=self._request.streamed, may_restart=self._request.may_restart)

    def _hot(self) -> Stored | None:
        """The answer to the same request, where no row has to be read."""
        agent_id = self._request.context.agent_id
        assert agent_id is not None  # noqa: S101 (reading.why_not has seen to it)
        look = hot.look(self._asked.scope.exact, agent_id)
        self._number = look.number
        return self._acceptable(look.stored)

    def _row(self) -> Stored | None:
        """The same in the database. Of many who ask at once the leader reads it first."""
        return self._acceptable(store.find(self._asked.scope.exact, self._number))

    def _acceptable(self, stored: Stored | None) -> Stored | None:
        now = timezone.now()
        if stored is None or stored.expires_at <= now or not self._asked.is_fresh_enough(stored.age(now)):
            return None
        return stored

    def _given(self, stored: Stored, spoken: Spoken | None = None, found: Found | None = None) -> Given:
        made = giving.by_meaning(stored, found) if found else giving.exactly(self._asked, stored)
        self._notes.provenance, metadata = made
        if found is not None:
            self._tell(found, None)
        is_streamed = self._request.streamed or spoken is not None
        replayed = harmless(lambda: [*giving.replay(stored, metadata, streamed=is_streamed)])
        if replayed is None:
            # Kept by another release, perhaps.
            self._notes.provenance = Provenance(why=CacheWhy.MISS)
            yield from self._ask()
        elif spoken is None:
            yield from replayed
        else:
            spoken.begin()
            for generation in replayed:
                yield from spoken.take(pieces.written(generation))
            yield from spoken.end()

    def _in_flight(self) -> Given:
        spoken, failed = self._spoken(), 0
        until = time.monotonic() + settings.CACHE_FLIGHT_SECONDS
        if self._request.ends is not None:
            until = min(until, self._request.ends)
        while True:
            is_over = failed >= MOST_FAILED or time.monotonic() >= until
            exact = self._asked.scope.exact
            if (lead := Lead(exact, None) if is_over else flights.lead(exact)) is not None:
                yield from self._led(lead, spoken)
                return
            told = yield from self._followed(spoken, until)
            if told is not None and told.ending == "done":
                return
            if told is not None and told.ending == "failed":
                failed += 1
            elif told is not None and told.ending == "look" and (hit := self._looked_up()) is not None:
                yield from self._given(hit[0], spoken, hit[1])
                return

    def _followed(self, spoken: Spoken, until: float) -> Generator[ChatGeneration, None, Told | None]:
        """Reads along with the leader that there is; how it ended, None when it did not say."""
        spoken.begin()
        # No database connection is held while another call answers.
        release_connections()
        for said in flights.follow(self._asked.scope.exact, lambda: self._may_wait(until)):
            if not isinstance(said, Told):
                yield from spoken.take(said)
                continue
            if said.ending == "done":
                self._notes.provenance, metadata = giving.in_flight(said.cost)
                yield from giving.noted(spoken.end(), metadata, streamed=self._request.streamed)
            return said
        return None

    def _may_wait(self, until: float) -> bool:
        if self._request.look is not None:
            self._request.look()
        return time.monotonic() < until

    def _looked_up(self) -> tuple[Stored, Found | None] | None:
        """What there is by now, for one who need not ask."""
        if (stored := harmless(self._row)) is not None:
            return stored, None
        found = self._compared()
        return None if found is None or found.stored is None else (found.stored, found)

    def _compared(self) -> Found | None:
        """Once a call."""
        if not self._asked.dialogue or self._has_compared:
            return None
        self._has_compared = True
        self._found = harmless(lambda: nearest.nearest(self._asked))
        return self._found

    def _led(self, lead: Lead, spoken: Spoken) -> Given:
        """Answers for all who read along: with what there is by now, or by asking."""
        try:
            if self._asked.wishes.use != "refresh":
                hit = self._looked_up()
                if hit is not None:
                    lead.end("look")
                    yield from self._given(hit[0], spoken, hit[1])
                    return
                self._notes.provenance = self._missed()
            yield from self._asked_for_all(lead, spoken)
        except LimitReached:
            # The others may have other limits.
            raise
        except Exception:
            lead.end("failed")
            raise
        finally:
            lead.end("left")

    def _missed(self) -> Provenance:
        found = self._found
        if found is None or found.outcome is None:
            return Provenance(why=CacheWhy.MISS)
        why = CacheWhy.TURNED_OFF if found.is_off else found.outcome
        # Which answer came near is for whoever may look at it; it is not the call's, which was not given it.
        evidence = {**(found.evidence or {}), "entry": str(found.entry_id)}
        return Provenance(why=why, similarity=found.similarity, evidence=evidence)

    def _asked_for_all(self, lead: Lead, spoken: Spoken) -> Given:
        said: list[Piece] = []
        is_whole = True
        spoken.begin()
        for generation in self._ask():
            piece = _written(generation)
            if piece is None:
                is_whole = False
                # Nobody else could read it.
                lead.end("failed")
            else:
                said.append(piece)
                lead.say(piece)
            yield from spoken.take(piece, generation)
        yield from spoken.end(is_given=True)
        kept = self._keep(said) if is_whole else None
        lead.end("done", self._cost(said) | ({"entry": str(kept)} if kept is not None else {}))
        if self._found is not None:
            self._tell(self._found, kept)

    def _keep(self, said: list[Piece]) -> uuid.UUID | None:
        found = self._found
        meant = (found.embedding, found.vector) if found is not None else harmless(self._meant)
        kept = harmless(lambda: _kept(self._asked, said, self._notes, meant))
        if kept is not None and meant is not None and self._asked.dialogue:
            _remember(self._asked, kept, meant)
        return kept

    def _meant(self) -> tuple[str, bytes] | None:
        """The vector of a request that was not compared."""
        if not self._asked.dialogue:
            return None
        model = meaning()
        return model.embedding(), model.vector(self._asked.dialogue).astype("<f4").tobytes()

    def _cost(self, said: list[Piece]) -> dict[str, Any]:
        answered, told = self._notes.answered, pieces.usage_of(said)
        if answered is None:
            return {"input_tokens": told[0], "output_tokens": told[1]}
        return {
            "input_tokens": answered.input_tokens, "output_tokens": answered.output_tokens,
            "cost": None if answered.cost is None else str(answered.cost), "latency_ms": answered.latency_ms,
        }  # fmt: skip

    def _tell(self, found: Found, new_entry_id: uuid.UUID | None) -> None:
        if found.outcome is None or found.entry_id is None:
            return
        observing.tell_compared(
            observing.Compared(
                found.outcome, self._request, tuple(self._asked.dialogue), found.entry_id, new_entry_id,
                self._notes.call_id, found.score, found.similarity, found.threshold, found.evidence or {},
            )
        )  # fmt: skip


def _written(generation: ChatGeneration) -> Piece | None:
    try:
        return pieces.written(generation)
    except (NotCanonical, AttributeError, TypeError, ValueError):
        return None


def _kept(asked: Asked, said: list[Piece], notes: CallNotes, meant: tuple[str, bytes] | None) -> uuid.UUID | None:
    try:
        return keeping.keep(asked, said, notes.answered, meant)
    except keeping.NotKept as error:
        notes.provenance.evidence = {**(notes.provenance.evidence or {}), "not_kept": str(error)}
        return None


def _remember(asked: Asked, entry_id: uuid.UUID, meant: tuple[str, bytes]) -> None:
    harmless(lambda: matrices.add(asked.scope.digest, meant[0], entry_id, meant[1]))
