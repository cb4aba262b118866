"""Learns the weights from the labelled pairs beside this module: `python -m agents.cache.semantic.training`.

Deterministic: the same pairs give the same weights.json, to the byte. It takes about a minute on one core.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

import numpy as np

from agents.cache.semantic import verifier
from agents.cache.semantic.calibration import threshold_for_traps
from agents.cache.semantic.context import rendered
from agents.cache.semantic.data import Dialogue, Prepared, Turn, dialogue_of
from agents.cache.semantic.model import Learned, learn
from agents.cache.semantic.verifier import CONVERSATIONS, QUESTIONS, Model, as_row, guard, measure
from agents.gateway.embeddings import embed, embedding_model

if TYPE_CHECKING:
    import numpy.typing as npt

PAIRS: Final = Path(__file__).parent / "pairs"
SEEDS: Final = 5
FOLDS: Final = 5
SAME_STORY: Final = 0.85
# Of the pairs that must not be served, at most so many are, with so much confidence. Half of what is promised, as pairs
# that nobody had read when the lists were written turned out harder.
TARGETS: Final = {
    QUESTIONS: {"default": 0.005, "relaxed": 0.025},
    CONVERSATIONS: {"default": 0.02, "relaxed": 0.04},  # there are too few to show 1 % and still serve much
}
CONFIDENCE: Final = {QUESTIONS: 0.9, CONVERSATIONS: 0.8}
JUDGED: Final = 0.98  # a judge sees all but so many of the pairs that one answer serves


@dataclass(frozen=True, slots=True)
class Example:
    """One labelled pair, measured. `story` is the same for rows that tell nearly the same; -1: made up for training."""

    kind: str
    key: str
    row: list[float]
    blocked: str
    label: bool
    story: int


@cache
def examples(kind: str) -> tuple[Example, ...]:
    """All pairs of a kind beside this module, measured, with what is made of them."""
    pairs = [(one, other, label) for one, other, label in labelled() if _kind(one, other) == kind]
    if kind == CONVERSATIONS:
        pairs += [(one, other, label) for one, other, label in _made(pairs)]
    made_from = sum(1 for one, other, _label in labelled() if _kind(one, other) == kind)
    prepared = _prepare_all([dialogue for one, other, _label in pairs for dialogue in (one, other)])
    stories = _stories([each.vector for each in prepared[: 2 * made_from]])
    return tuple(
        example(prepared[2 * n], prepared[2 * n + 1], label=pairs[n][2], story=stories[n] if n < made_from else -1)
        for n in range(len(pairs))
    )


def example(one: Prepared, other: Prepared, *, label: bool, story: int) -> Example:
    """One pair, measured."""
    one, other = sorted((one, other), key=lambda each: [(turn.role, turn.content) for turn in each.dialogue])
    kind = verifier.kind_of(one, other)
    comparison = measure(kind, one, other, float(one.vector @ other.vector))
    blocked = guard(kind, one, other, comparison)
    return Example(kind, key_of(one.dialogue, other.dialogue), as_row(kind, comparison.figures), blocked, label, story)


def key_of(one: Dialogue, other: Dialogue) -> str:
    """What a pair is known by, whichever comes first."""
    return json.dumps(sorted([[turn.role, turn.content] for turn in each] for each in (one, other)))


def fit(chosen: Sequence[Example], *, seed: int = 0) -> Learned:
    """Learns from the examples that no guard refuses."""
    free = [each for each in chosen if not each.blocked]
    return learn(np.array([each.row for each in free]), np.array([float(each.label) for each in free]), seed=seed)


@cache
def cross_fitted(kind: str, *, folds: int = FOLDS, seeds: int = SEEDS) -> dict[str, tuple[float, ...]]:
    """The score of every real example by models that saw neither it nor its like, once a seed."""
    all_ = examples(kind)
    scores: dict[str, list[float]] = {each.key: [] for each in all_ if each.story >= 0}
    for seed in range(seeds):
        fold = _folds(all_, folds, seed)
        for number in range(folds):
            learned = fit([each for each, its in zip(all_, fold, strict=True) if its != number], seed=seed)
            held = [each for each, its in zip(all_, fold, strict=True) if its == number and each.story >= 0]
            for each, score in zip(held, scored(learned, held), strict=True):
                scores[each.key].append(score)
    return {key: tuple(each) for key, each in scores.items()}


def scored(learned: Learned, held: Sequence[Example]) -> list[float]:
    """Scores of examples; 0 for those that a guard refuses."""
    if not held:
        return []
    likely = learned.predict(np.array([each.row for each in held]))
    return [0.0 if each.blocked else float(score) for each, score in zip(held, likely, strict=True)]


def train() -> Model:
    """The model of all pairs, with thresholds from the cross-fitted scores."""
    thresholds: dict[str, dict[str, float]] = {name: {} for name in (*TARGETS[QUESTIONS], "refused")}
    for kind in (QUESTIONS, CONVERSATIONS):
        for name, value in _thresholds(kind).items():
            thresholds[name][kind] = value
    return Model({kind: fit(examples(kind)) for kind in (QUESTIONS, CONVERSATIONS)}, thresholds, embedding_model())


def _thresholds(kind: str) -> dict[str, float]:
    crossed = cross_fitted(kind)
    labels = {each.key: each.label for each in examples(kind)}
    mean = [(float(np.mean(scores)), labels[key]) for key, scores in crossed.items()]
    found = {
        name: threshold_for_traps(mean, rate_target=target, confidence=CONFIDENCE[kind]) or 1.0
        for name, target in TARGETS[kind].items()
    }
    trues = sorted(score for score, label in mean if label and score > 0)
    found["refused"] = trues[int((1 - JUDGED) * len(trues))]
    return {name: round(value, 4) for name, value in found.items()}


@cache
def labelled() -> tuple[tuple[Dialogue, Dialogue, bool], ...]:
    """The pairs beside this module with what they are labelled."""
    found = []
    for path in sorted(PAIRS.glob("*.jsonl")):
        for line in path.read_text(encoding="utf-8").splitlines():
            row: dict[str, Any] = json.loads(line)
            found.append((dialogue_of(row["a"]), dialogue_of(row["b"]), bool(row["same_answer"])))
    return tuple(found)


def _kind(one: Dialogue, other: Dialogue) -> str:
    return QUESTIONS if len(one) == len(other) == 1 else CONVERSATIONS


def _made(pairs: Sequence[tuple[Dialogue, Dialogue, bool]]) -> Iterable[tuple[Dialogue, Dialogue, bool]]:
    """What the labelled conversations lack: the same one again, and the same history with another last question."""
    for number, (one, _other, _label) in enumerate(pairs):
        if number % 3 == 0:
            last = one[-1].content
            yield one, (*one[:-1], Turn("user", last.lower().rstrip(" ?.!") if number % 2 else f"{last} ")), True
    questions = [each for each in labelled() if _kind(each[0], each[1]) == QUESTIONS]
    for number, (first, second, label) in enumerate(questions[::5]):
        history = pairs[number % len(pairs)][0][:-1]
        yield (*history, first[-1]), (*history, second[-1]), label


def _prepare_all(dialogues: Sequence[Dialogue]) -> list[Prepared]:
    vectors = embed([rendered(dialogue) for dialogue in dialogues])
    return [Prepared(dialogue, vector) for dialogue, vector in zip(dialogues, vectors, strict=True)]


def _stories(vectors: Sequence[npt.NDArray[np.float32]]) -> list[int]:
    """A number for each pair: pairs with a text in common, or nearly, get the same."""
    count = len(vectors) // 2
    parent = list(range(count))
    matrix = np.stack(vectors)
    for one, other in zip(*np.nonzero(np.triu(matrix @ matrix.T > SAME_STORY, 1)), strict=True):
        low, high = sorted((_root(parent, int(one) // 2), _root(parent, int(other) // 2)))
        parent[high] = low
    return [_root(parent, number) for number in range(count)]


def _root(parent: list[int], number: int) -> int:
    while parent[number] != number:
        number = parent[number]
    return number


def _folds(all_: Sequence[Example], folds: int, seed: int) -> list[int]:
    """The fold of each example: a story stays together; what was made up is in every training part."""
    stories = sorted({each.story for each in all_ if each.story >= 0})
    order = np.random.default_rng(seed).permutation(len(stories))
    place = {story: int(order[n]) % folds for n, story in enumerate(stories)}
    return [place.get(each.story, -1) for each in all_]


def main() -> None:
    """Trains and writes weights.json."""
    import django

    django.setup()
    model = train()
    model.save()
    print(json.dumps(model.thresholds, indent=1))  # noqa: T201


if __name__ == "__main__":
    main()
