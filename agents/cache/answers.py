"""What the gateway knows of the cache. Light: what needs LangChain is imported with the first call."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING

from agents.cache.harmless import harmless
from agents.cache.reading import Asked, read, why_not
from agents.definitions.cache_policy import CachePolicy, Wishes
from agents.gateway.answers import CallNotes, ModelRequest, Pieces, Provenance
from agents.gateway.models import CacheWhy

if TYPE_CHECKING:
    from langchain_core.outputs import ChatGeneration


class CachedAnswers:
    """Gives answers that are there already. Asks the provider once, or not at all."""

    def through(self, request: ModelRequest, ask: Pieces, notes: CallNotes) -> Iterator[ChatGeneration]:
        """See agents.gateway.answers.Answers."""
        asked = harmless(lambda: _read(request)) or CacheWhy.FAILED
        if isinstance(asked, Asked):
            from agents.cache.serving import Serving

            return Serving(asked, ask, notes).pieces()
        notes.provenance = Provenance(why=asked)
        return ask()


def _read(request: ModelRequest) -> Asked | CacheWhy:
    policy, wishes = CachePolicy.of(request.context.cache_policy), Wishes.of(request.context.cache_wishes)
    return why_not(request, policy, wishes) or read(request, policy, wishes)
