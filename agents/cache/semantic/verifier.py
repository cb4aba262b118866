"""Compares two prepared dialogues: guards first, then what was learned from labelled pairs."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

from agents.cache.semantic import dialogues, features, guards
from agents.cache.semantic.context import rendered
from agents.cache.semantic.data import Dialogue, Prepared, Verdict
from agents.cache.semantic.features import Comparison
from agents.gateway.embeddings import embed, embedding_model

if TYPE_CHECKING:
    import numpy as np
    import numpy.typing as npt

    from agents.cache.semantic.model import Learned

WEIGHTS: Final = Path(__file__).parent / "weights.json"
QUESTIONS: Final = "questions"
CONVERSATIONS: Final = "conversations"
# Characters. A comparison takes time with the product of both lengths, and nothing was learned of longer ones.
LONGEST: Final = {QUESTIONS: 1000, CONVERSATIONS: 4000}
NAMES: Final = {QUESTIONS: features.NAMES, CONVERSATIONS: dialogues.NAMES}


@dataclass(frozen=True, slots=True)
class Model:
    """What was learned, for questions and for conversations, and where the settings draw their lines.

    `thresholds` is {"default" | "relaxed" | "refused": {kind: score}}; below "refused" not even a judge is asked.
    """

    learned: Mapping[str, Learned]
    thresholds: Mapping[str, Mapping[str, float]]
    embeddings: str

    @staticmethod
    def load(path: Path = WEIGHTS) -> Model:
        """The model in a weights file. Raises OSError or ValueError."""
        from agents.cache.semantic.model import learned_from

        given = json.loads(path.read_text(encoding="utf-8"))
        if given["figures"] != {kind: list(names) for kind, names in NAMES.items()}:
            raise ValueError("The weights were learned from other figures; train again.")
        learned = {kind: learned_from(each) for kind, each in given["learned"].items()}
        return Model(learned, given["thresholds"], given["embeddings"])

    def save(self, path: Path = WEIGHTS) -> None:
        """Writes the weights file; the same model gives the same bytes."""
        given = {
            "embeddings": self.embeddings,
            "figures": {kind: list(names) for kind, names in NAMES.items()},
            "thresholds": self.thresholds,
            "learned": {kind: each.as_json() for kind, each in self.learned.items()},
        }
        path.write_text(json.dumps(given, separators=(",", ":"), sort_keys=True) + "\n", encoding="utf-8")

    def score(self, kind: str, figures: Mapping[str, float]) -> float:
        """The probability that one answer serves both, 0..1."""
        import numpy as np

        row = np.array([[figures[name] for name in NAMES[kind]]], np.float64)
        if embedding_model() != self.embeddings:
            row[0, 0] = self.learned[kind].line.mean[0]  # another model's cosines are on another scale: say nothing
        return float(self.learned[kind].predict(row)[0])


@cache
def shipped() -> Model:
    """The model in the weights file that comes with the code."""
    return Model.load()


def threshold(setting: str, kind: str) -> float:
    """The score from which a setting ("default", "relaxed", "refused") serves, for a kind of dialogue."""
    return float(shipped().thresholds[setting][kind])


def kind_of(one: Prepared, other: Prepared) -> str:
    """Which of the two models compares a pair."""
    return QUESTIONS if one.is_question and other.is_question else CONVERSATIONS


def prepare(dialogue: Dialogue, vector: npt.NDArray[np.float32] | None = None) -> Prepared:
    """A dialogue ready to be compared; its vector is made when it is not given. Raises GatewayError."""
    return Prepared(dialogue, embed([rendered(dialogue)])[0] if vector is None else vector)


def compare(a: Prepared, b: Prepared, *, model: Model | None = None) -> Verdict:
    """Whether one answer serves both. The order of the two does not matter."""
    one, other = sorted((a, b), key=lambda each: [(turn.role, turn.content) for turn in each.dialogue])
    similarity = float(one.vector @ other.vector)
    outer = _outer_guard(one, other)
    if outer:
        return Verdict(0.0, similarity, outer, {})
    kind = kind_of(one, other)
    comparison = measure(kind, one, other, similarity)
    return _verdict(model or shipped(), kind, comparison, similarity, guard(kind, one, other, comparison))


def measure(kind: str, one: Prepared, other: Prepared, similarity: float) -> Comparison:
    """The figures that the model of a kind reads."""
    if kind == QUESTIONS:
        return features.compare_sentences(one.asked, other.asked, similarity)
    return dialogues.compare_contexts(one.context, other.context, similarity)


def guard(kind: str, one: Prepared, other: Prepared, comparison: Comparison) -> str:
    """The name of the guard that refuses the pair, or ""."""
    figures = comparison.figures
    if not (one.asked.english and other.asked.english) and one.asked.words != other.asked.words:
        return "language"
    if kind == QUESTIONS:
        return guards.blocking(figures)
    return guards.blocking_contexts(figures)


def _outer_guard(one: Prepared, other: Prepared) -> str:
    """What must be the same to the letter, and the shape of the two dialogues."""
    for role, name in (("system", "instructions"), ("tool", "tools")):
        if _said(one, role) != _said(other, role):
            return name
    if one.is_question != other.is_question:
        return "history"
    return "long" if max(_length(one), _length(other)) > LONGEST[kind_of(one, other)] else ""


def _length(prepared: Prepared) -> int:
    return sum(len(turn.content) for turn in prepared.dialogue if turn.role in ("user", "assistant"))


def _said(prepared: Prepared, role: str) -> list[str]:
    return [turn.content for turn in prepared.dialogue if turn.role == role]


def _verdict(model: Model, kind: str, comparison: Comparison, similarity: float, blocked: str) -> Verdict:
    figures = comparison.figures
    evidence: dict[str, float | str] = {"kind": kind, **comparison.notes}
    evidence.update({name: round(value, 3) for name, value in figures.items() if value and name != "cosine"})
    score = 0.0 if blocked else model.score(kind, figures)
    return Verdict(score, similarity, blocked, evidence)


def as_row(kind: str, figures: Mapping[str, float]) -> list[Any]:
    """The figures in the model's order."""
    return [figures[name] for name in NAMES[kind]]
