"""What the semantic tier needs to know of meaning: vectors of conversations, and whether one answer serves two of them.

`agents.cache.semantic` is behind it, imported when it is first needed; tests put something simpler in its place.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any, Protocol

if TYPE_CHECKING:
    import numpy as np
    import numpy.typing as npt

    Vector = npt.NDArray[np.float32]

Said = Sequence[Mapping[str, str]]
"""A conversation: `[{"role", "content"}]`, oldest first."""


class Verdict(Protocol):
    """See agents.cache.semantic.data."""

    @property
    def score(self) -> float: ...
    @property
    def similarity(self) -> float: ...
    @property
    def blocked_by(self) -> str: ...
    @property
    def evidence(self) -> Mapping[str, float | str]: ...


class Meaning(Protocol):
    """All that the cache asks of it."""

    def embedding(self) -> str:
        """The name of the embedding model and of how conversations are rendered for it."""

    def verifier(self) -> str:
        """The name of what scores: scores of another are not comparable."""

    def kind(self, said: Said) -> str:
        """Whose scores are comparable, a Calibration.Kind: single questions, or conversations."""

    def threshold(self, error_target: float, kind: str) -> float:
        """The least score at which at most this share of the answers is wrong, before anything was learned."""

    def vector(self, said: Said) -> Vector:
        """float32[d], of unit length."""

    def prepared(self, said: Said, vector: Vector) -> Any:
        """What `compare` takes of a conversation."""

    def compare(self, one: Any, other: Any) -> Verdict:
        """Whether the answer to one serves the other."""


_meaning: Meaning | None = None


def use_meaning(meaning: Meaning | None) -> None:
    """Puts another one in its place; None: the one that comes with the platform."""
    global _meaning
    _meaning = meaning


def meaning() -> Meaning:
    """The one in use."""
    global _meaning
    if _meaning is None:
        from agents.cache.understanding import Understanding

        _meaning = Understanding()
    return _meaning
