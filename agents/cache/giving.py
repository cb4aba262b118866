"""Giving a stored answer: its pieces, with what is to be known of where they come from."""

from __future__ import annotations

import uuid
from collections.abc import Iterator, Mapping
from typing import TYPE_CHECKING, Any

from django.utils import timezone

from agents.cache import hits, pieces, refreshing
from agents.cache.hot import Stored
from agents.cache.nearest import Found
from agents.cache.reading import Asked
from agents.gateway.answers import Provenance
from agents.gateway.models import CacheWhy, Tier

if TYPE_CHECKING:
    from langchain_core.outputs import ChatGeneration

METADATA = "mutirao_cache"
"""In the response metadata: `{"tier", "why", "entry", "similarity", "score", "age"}`, the age in seconds."""


def exactly(asked: Asked, stored: Stored) -> tuple[Provenance, dict[str, Any]]:
    """Of the same request; a stale answer is given, and asked anew meanwhile."""
    now = timezone.now()
    is_stale = stored.stale_at <= now
    if is_stale:
        refreshing.refresh_soon(asked)
    why = CacheWhy.STALE if is_stale else CacheWhy.HIT
    return _given(stored, Provenance(tier=Tier.EXACT, why=why, age_seconds=stored.age(now)))


def by_meaning(stored: Stored, found: Found) -> tuple[Provenance, dict[str, Any]]:
    """Of a request with the same meaning."""
    provenance = Provenance(
        tier=Tier.SEMANTIC, why=CacheWhy.HIT, similarity=found.similarity, age_seconds=stored.age(timezone.now()),
        evidence=found.evidence,
    )  # fmt: skip
    return _given(stored, provenance, score=round(found.score, 4))


def in_flight(cost: Mapping[str, Any]) -> tuple[Provenance, dict[str, Any]]:
    """Of the same request at the same time; `cost` is what its leader has said, and the `entry` that it kept."""
    entry_id = uuid.UUID(cost["entry"]) if "entry" in cost else None
    provenance = Provenance(tier=Tier.FLIGHT, why=CacheWhy.HIT, age_seconds=0.0, entry_id=entry_id)
    provenance.saved_input_tokens = int(cost.get("input_tokens", 0))
    provenance.saved_output_tokens = int(cost.get("output_tokens", 0))
    provenance.saved_ms = float(cost.get("latency_ms", 0.0))
    provenance.saved_cost = refreshing.price_of(cost.get("cost"))
    return provenance, metadata_of(provenance)


def replay(stored: Stored, metadata: Mapping[str, Any], *, streamed: bool) -> Iterator[ChatGeneration]:
    """The pieces, the last of which carries the metadata."""
    hits.count(stored.id)
    return pieces.replayed(stored.pieces, streamed=streamed, metadata={METADATA: dict(metadata)})


def noted(given: Iterator[ChatGeneration], metadata: Mapping[str, Any], *, streamed: bool) -> Iterator[ChatGeneration]:
    """The end of an answer that came from a flight, with the metadata; of a stream they come as an empty chunk."""
    for generation in given:
        if not streamed:
            generation.message.response_metadata[METADATA] = dict(metadata)
        yield generation
    if streamed:
        yield pieces.note({METADATA: dict(metadata)})


def metadata_of(provenance: Provenance, **more: Any) -> dict[str, Any]:
    """What the caller can see."""
    similarity, age = provenance.similarity, provenance.age_seconds
    said = {
        # Plain text: whoever stores the message knows nothing of our choices.
        "tier": str(provenance.tier),
        "why": str(provenance.why),
        "entry": str(provenance.entry_id) if provenance.entry_id else None,
        "similarity": None if similarity is None else round(similarity, 4),
        "age": None if age is None else round(age, 3),
        **more,
    }
    return {name: value for name, value in said.items() if value is not None}


def _given(stored: Stored, provenance: Provenance, **more: Any) -> tuple[Provenance, dict[str, Any]]:
    provenance.entry_id = stored.id
    provenance.saved_input_tokens, provenance.saved_output_tokens = stored.input_tokens, stored.output_tokens
    provenance.saved_cost, provenance.saved_ms = stored.cost, stored.latency_ms
    return provenance, metadata_of(provenance, **more)
