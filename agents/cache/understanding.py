"""The meaning that comes with the platform: the gateway's embeddings and the verifier of agents.cache.semantic."""

from __future__ import annotations

import hashlib
from functools import cache
from typing import TYPE_CHECKING, Any, Final

from agents.cache.semantic import verifier
from agents.cache.semantic.context import rendered
from agents.cache.semantic.data import dialogue_of, is_question
from agents.gateway.embeddings import embed, embedding_model

if TYPE_CHECKING:
    from agents.cache.meaning import Said, Vector, Verdict
    from agents.cache.semantic.data import Prepared

# From this share of errors on the second setting of the verifier is meant.
RELAXED_TARGET: Final = 0.05


class Understanding:
    """See agents.cache.meaning.Meaning."""

    def embedding(self) -> str:
        return embedding_model()

    def verifier(self) -> str:
        return f"{_weights()}:{hashlib.sha256(embedding_model().encode()).hexdigest()[:16]}"

    def kind(self, said: Said) -> str:
        return verifier.QUESTIONS if is_question(dialogue_of(said)) else verifier.CONVERSATIONS

    def threshold(self, error_target: float, kind: str) -> float:
        return verifier.threshold("relaxed" if error_target >= RELAXED_TARGET else "default", kind)

    def vector(self, said: Said) -> Vector:
        found: Vector = embed([rendered(dialogue_of(said))])[0]
        return found

    def prepared(self, said: Said, vector: Vector) -> Prepared:
        return verifier.prepare(dialogue_of(said), vector)

    def compare(self, one: Any, other: Any) -> Verdict:
        return verifier.compare(one, other)


@cache
def _weights() -> str:
    return hashlib.sha256(verifier.WEIGHTS.read_bytes()).hexdigest()[:16]
