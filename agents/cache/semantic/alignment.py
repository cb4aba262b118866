"""Finds for each word of one sentence its counterpart in the other, and says what stays without one."""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache
from typing import TYPE_CHECKING, Final

from agents.cache.semantic import lexicon
from agents.cache.semantic.wording import Sentence, Word

if TYPE_CHECKING:
    import numpy as np
    import numpy.typing as npt

SAME, STEM, TYPO, SYNONYM, FAMILY = 1.0, 0.97, 0.9, 0.85, 0.8
MATCHED: Final = 0.7
MOST_BY_VECTORS: Final = 900  # pairs of words; past that only what the lists and the letters relate is related


@dataclass(frozen=True, slots=True)
class Pair:
    """Two words held against each other; `likeness` is 0..1, `contrast` that the lists hold them apart."""

    one: Word
    other: Word
    places: tuple[int, int]
    likeness: float
    contrast: bool


@dataclass(frozen=True, slots=True)
class Alignment:
    """`matched` words mean the same; `swapped` ones stand in each other's place; `left` and `right` stay alone."""

    matched: tuple[Pair, ...]
    swapped: tuple[Pair, ...]
    left: tuple[Word, ...]
    right: tuple[Word, ...]


def align(one: Sentence, other: Sentence) -> Alignment:
    """Best counterpart first; every word is used once."""
    left, right = one.content, other.content
    by_vectors = len(left) * len(right) <= MOST_BY_VECTORS
    pairs = [
        Pair(a, b, (i, j), like, like == 0 and _contrasted(a, b))
        for i, a in enumerate(left)
        for j, b in enumerate(right)
        if (like := likeness(a, b, by_vectors=by_vectors)) >= 0
    ]
    size = max(len(left), len(right), 1)
    pairs.sort(key=lambda pair: (-pair.likeness, abs(pair.places[0] / size - pair.places[1] / size), pair.places))
    matched = _take([pair for pair in pairs if pair.likeness >= MATCHED], set(), set())
    used = ({pair.places[0] for pair in matched}, {pair.places[1] for pair in matched})
    compounds = _compounds(left, right, *used)
    used[0].update(compounds[0])
    used[1].update(compounds[1])
    rest = sorted(
        (pair for pair in pairs if pair.likeness < MATCHED),
        key=lambda pair: (-pair.contrast, -_same_place(pair, matched), -pair.likeness, pair.places),
    )
    swapped = _take(rest, *used)
    used[0].update(pair.places[0] for pair in swapped)
    used[1].update(pair.places[1] for pair in swapped)
    return Alignment(
        tuple(sorted(matched, key=lambda pair: pair.places)),
        tuple(swapped),
        tuple(word for i, word in enumerate(left) if i not in used[0]),
        tuple(word for j, word in enumerate(right) if j not in used[1]),
    )


def likeness(one: Word, other: Word, *, by_vectors: bool = True) -> float:
    """How far two words mean the same, 0..1. Without vectors, words that nothing relates are 0 apart: much faster."""
    if one.text == other.text:
        return SAME
    if one.stem == other.stem:
        return STEM
    known = _known(*sorted(((one.text, one.stem), (other.text, other.stem))))
    if known is not None or not by_vectors:
        return known or 0.0
    return _near(*sorted((one.stem, other.stem)))


def _contrasted(one: Word, other: Word) -> bool:
    return _known(*sorted(((one.text, one.stem), (other.text, other.stem)))) == 0.0


@lru_cache(maxsize=200_000)
def _known(one: tuple[str, str], other: tuple[str, str]) -> float | None:
    """What lists and letters say of two words (text, stem): 0 that they contrast; None when they say nothing."""
    left, right = one[1], other[1]
    if left.replace("_", "") == right.replace("_", ""):
        return STEM
    if lexicon.are_contrasted(left, right):
        return SYNONYM if lexicon.are_synonyms(left, right) else 0.0
    if _is_slip(one[0], other[0]):
        return TYPO
    if lexicon.are_synonyms(left, right):
        return SYNONYM
    return FAMILY if lexicon.related(left, right) else None


def _is_slip(one: str, other: str) -> bool:
    """Whether one is the other mistyped: a slip away, and no word of the model's vocabulary."""
    if " " in one + other or not lexicon.is_typo(one, other):
        return False
    return pieces(one) > 1 or pieces(other) > 1


@lru_cache(maxsize=100_000)
def _near(one: str, other: str) -> float:
    return max(0.0, min(0.6, float(vector(one) @ vector(other))))


@lru_cache(maxsize=20_000)
def vector(stem: str) -> npt.NDArray[np.float32]:
    """The model's vector of a word, float32[384]."""
    from agents.gateway.minilm import word_vectors

    return word_vectors().vector(stem.replace("_", " "))


@lru_cache(maxsize=20_000)
def pieces(stem: str) -> int:
    """Into how many pieces the model's vocabulary breaks a word: 1 for words it knows."""
    from agents.gateway.minilm import word_vectors

    return len(word_vectors().pieces(stem))


def _take(pairs: list[Pair], left: set[int], right: set[int]) -> list[Pair]:
    left, right = set(left), set(right)
    found = []
    for pair in pairs:
        i, j = pair.places
        if i not in left and j not in right:
            left.add(i)
            right.add(j)
            found.append(pair)
    return found


def _compounds(
    left: tuple[Word, ...], right: tuple[Word, ...], used_left: set[int], used_right: set[int]
) -> tuple[set[int], set[int]]:
    """“pay slip” and “payslip”, “check-in” and “checkin”: two words of one side are one of the other."""
    one = _halves(left, right, used_left, used_right)
    two = _halves(right, left, used_right | one[1], used_left | one[0])
    return one[0] | two[1], one[1] | two[0]


def _halves(
    split: tuple[Word, ...], whole: tuple[Word, ...], used_split: set[int], used_whole: set[int]
) -> tuple[set[int], set[int]]:
    free = {word.text.replace(" ", ""): j for j, word in enumerate(whole) if j not in used_whole}
    for i in range(len(split) - 1):
        j = free.get(split[i].text + split[i + 1].text)
        if j is not None and not {i, i + 1} & used_split:
            return {i, i + 1}, {j}
    return set(), set()


def _same_place(pair: Pair, matched: list[Pair]) -> int:
    """How many of the two neighbours of both words are matched with each other: 2 = the words stand in one place."""
    places = {each.places for each in matched}
    i, j = pair.places
    return ((i - 1, j - 1) in places) + ((i + 1, j + 1) in places)
