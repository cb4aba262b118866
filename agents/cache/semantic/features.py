"""What is measured of two sentences. Every figure is the same whichever of the two comes first."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Final

from agents.cache.semantic import lexicon
from agents.cache.semantic.alignment import SYNONYM, Alignment, Pair, align, pieces
from agents.cache.semantic.quantities import Quantity, agree
from agents.cache.semantic.wording import NEGATIVE, PERSONS, POLAR, Sentence, Word

NAMES: Final = (
    "cosine", "coverage", "swapped", "swapped_in_place", "swap_likeness", "contrast", "name_swap", "alone_less",
    "alone_more", "alone_name", "alone_person", "alone_polar", "numbers_conflict", "numbers_alone", "negation",
    "ask_differs", "ask_opposes", "reordered", "roles_swapped", "reworded", "length", "length_gap", "typos", "person",
    "identical", "alone_listed", "alone_negative", "numbers_reordered", "why",
    "quoted_differs", "particles", "names_conflict", "names_reordered",
    "same_words",
)  # fmt: skip
_SPECIFIC: Final = frozenset({"who", "where", "when", "why", "price", "duration", "count", "how", "may"})
_ALIKE: Final = (
    {"how", "where"}, {"how", "may"}, {"count", "price"}, {"count", "duration"}, {"when", "duration"}, {"price", "may"},
)  # fmt: skip
_OPPOSITE_PARTICLES: Final = (
    ("up", "down"), ("on", "off"), ("if", "unless"), ("always", "never"), ("before", "after"), ("with", "without"),
    ("over", "under"),
)  # fmt: skip
_MUTUAL: Final = lexicon.words("mutual")
_ROLES: Final = lexicon.words("roles")


@dataclass(frozen=True, slots=True)
class Comparison:
    """The figures of a pair by name, and what a person can be told about them."""

    figures: dict[str, float]
    notes: dict[str, str]


def compare_sentences(one: Sentence, other: Sentence, cosine: float) -> Comparison:
    """All that is measured of two sentences with the cosine of their vectors."""
    alignment = align(one, other)
    gap = _weight(alignment.left), _weight(alignment.right)
    matched = sum(_pair_weight(pair) for pair in alignment.matched)
    swapped = sum(_pair_weight(pair) for pair in alignment.swapped)
    conflict, alone = _numbers(one.numbers, other.numbers)
    size = len(one.words), len(other.words)
    figures = {
        "cosine": cosine,
        "coverage": matched / max(matched + swapped + sum(gap) / 2, 0.1),
        "swapped": swapped,
        "swapped_in_place": max((_in_place(pair, alignment) for pair in alignment.swapped), default=0.0),
        "swap_likeness": min((pair.likeness for pair in alignment.swapped), default=0.6),
        "contrast": float(any(pair.contrast for pair in alignment.swapped)),
        "name_swap": float(any(_rare(pair.one) and _rare(pair.other) for pair in alignment.swapped)),
        "alone_less": min(gap),
        "alone_more": max(gap),
        "alone_name": float(any(_rare(word) for word in (*alignment.left, *alignment.right))),
        "alone_person": float(_any_of(PERSONS, alignment)),
        "alone_polar": float(_any_of(POLAR, alignment)),
        "numbers_conflict": float(conflict),
        "numbers_alone": float(alone),
        "negation": float(one.negations % 2 != other.negations % 2),
        "ask_differs": float(one.ask != other.ask),
        "ask_opposes": float(_oppose(one.ask, other.ask)),
        "reordered": _reordered(alignment, turning=one.leads != other.leads),
        "roles_swapped": float(_roles_swapped(one, other)),
        "reworded": sum(pair.likeness < 0.95 for pair in alignment.matched) / max(len(alignment.matched), 1),
        "length": min(sum(size) / 2, 16) / 16,
        "length_gap": min(abs(size[0] - size[1]), 8) / 8,
        "typos": float(any(0.86 < pair.likeness < 0.95 for pair in alignment.matched)),
        "person": float(_person(one) != _person(other)),
        "alone_listed": float(any(lexicon.is_listed(word.stem) for word in (*alignment.left, *alignment.right))),
        "alone_negative": float(_any_of(NEGATIVE, alignment) or any(_one_negative(pair) for pair in alignment.swapped)),
        "numbers_reordered": float(not conflict and not alone and _other_order(one.numbers, other.numbers)),
        "why": float((one.ask == "why") != (other.ask == "why")),
        "particles": float(_particles_oppose(one.particles, other.particles)),
        "names_conflict": float(_names_conflict(alignment)),
        "names_reordered": float(one.leads == other.leads and _names_reordered(alignment, one, other)),
        "quoted_differs": float(bool(one.quoted and other.quoted and one.quoted != other.quoted)),
        "identical": float(one.plain.strip(" ?.!") == other.plain.strip(" ?.!")),
    }
    figures["same_words"] = float(_same_words(alignment, figures))
    return Comparison(figures, _notes(one, other, alignment))


def _same_words(alignment: Alignment, figures: dict[str, float]) -> bool:
    """Whether the two ask the same with the same words, but for endings, slips and their order at the front."""
    differs = ("swapped", "alone_more", "ask_differs", "numbers_conflict", "numbers_alone", "negation", "reordered")
    return not any(figures[name] for name in differs) and all(pair.likeness > SYNONYM for pair in alignment.matched)


def _notes(one: Sentence, other: Sentence, alignment: Alignment) -> dict[str, str]:
    notes = {
        # Not “swapped”, which is a figure: the two stand side by side in the evidence.
        "instead": ", ".join(sorted(f"{pair.one.text} / {pair.other.text}" for pair in alignment.swapped)),
        "only_in_one": ", ".join(sorted(word.text for word in (*alignment.left, *alignment.right))),
        "asks": one.ask if one.ask == other.ask else " / ".join(sorted((one.ask, other.ask))),
    }
    return {name: text for name, text in notes.items() if text}


def _weight(words: Iterable[Word]) -> float:
    return sum(word.weight for word in words)


def _pair_weight(pair: Pair) -> float:
    return max(pair.one.weight, pair.other.weight)


def _in_place(pair: Pair, alignment: Alignment) -> float:
    """1 when the words stand between the same neighbours, so that one takes the other's place."""
    places = {each.places for each in alignment.matched}
    i, j = pair.places
    return (((i - 1, j - 1) in places or i == j == 0) + ((i + 1, j + 1) in places)) / 2 * min(_pair_weight(pair), 1.0)


def _rare(word: Word) -> bool:
    return word.name or pieces(word.text) > 1 + word.text.count(" ")


def _any_of(stems: frozenset[str], alignment: Alignment) -> bool:
    return any(part in stems for word in (*alignment.left, *alignment.right) for part in word.stem.split("_"))


def _numbers(one: tuple[Quantity, ...], other: tuple[Quantity, ...]) -> tuple[bool, bool]:
    """Whether numbers differ, and whether only one side has some (a lone 1 is the same as none)."""
    left, right = list(one), list(other)
    for quantity in one:
        twin = next((each for each in right if agree(quantity, each)), None)
        if twin is not None:
            left.remove(quantity)
            right.remove(twin)
    left, right = ([each for each in side if each.value != "1" or each.kind] for side in (left, right))
    return bool(left and right), bool(left) != bool(right)


def _oppose(one: str, other: str) -> bool:
    return one != other and {one, other} <= _SPECIFIC and {one, other} not in _ALIKE


def _particles_oppose(one: frozenset[str], other: frozenset[str]) -> bool:
    """Whether one says “up” where the other says “down”, and the like."""
    return any(
        (a in one - other and b in other - one) or (b in one - other and a in other - one)
        for a, b in _OPPOSITE_PARTICLES
    )


def _names_conflict(alignment: Alignment) -> bool:
    """Whether each side names somebody or something that the other does not."""
    left = [word for word in (*alignment.left, *(pair.one for pair in alignment.swapped)) if word.name]
    right = [word for word in (*alignment.right, *(pair.other for pair in alignment.swapped)) if word.name]
    return bool(left and right) and not any(a.text[:3] == b.text[:3] for a in left for b in right)


def _names_reordered(alignment: Alignment, one: Sentence, other: Sentence) -> bool:
    """Whether two names changed places, where the words between do not hold both ways."""
    if any(word in _MUTUAL for each in (one, other) for word in each.plain.split()):
        return False
    order = [pair.places[1] for pair in alignment.matched if pair.one.name and pair.other.name]
    return order != sorted(order)


def _one_negative(pair: Pair) -> bool:
    return (pair.one.stem in NEGATIVE) != (pair.other.stem in NEGATIVE)


def _other_order(one: tuple[Quantity, ...], other: tuple[Quantity, ...]) -> bool:
    return not all(agree(a, b) for a, b in zip(one, other, strict=False))


def _reordered(alignment: Alignment, *, turning: bool) -> float:
    """The share of word pairs in another order. With `turning` a clause that moved to the front costs nothing."""
    order = [pair.places[1] for pair in alignment.matched]
    if len(order) < 2:
        return 0.0
    turns = (order[start:] + order[:start] for start in range(len(order) if turning else 1))
    fewest = min(sum(a > b for i, a in enumerate(turn) for b in turn[i + 1 :]) for turn in turns)
    return 2 * fewest / (len(order) * (len(order) - 1))


def _roles_swapped(one: Sentence, other: Sentence) -> bool:
    """Whether “from A to B” is “from B to A” in the other."""
    first, second = _roles(one), _roles(other)
    texts = {word.stem for word in one.words} & {word.stem for word in other.words}
    return any(
        role in second and first[role] != second[role] and {first[role], second[role]} <= texts for role in first
    )


def _roles(sentence: Sentence) -> dict[str, str]:
    tokens = [lexicon.stem(token) for token in sentence.plain.replace("?", "").split()]
    stems = {word.stem for word in sentence.words}
    found = {}
    for place, token in enumerate(tokens):
        if token in _ROLES:
            after = next((each for each in tokens[place + 1 : place + 4] if each in stems), None)
            if after:
                found[token] = after
    return found


def _person(sentence: Sentence) -> str:
    """Whose matter it is: somebody named by a word such as daughter or contractor, or nobody."""
    return " ".join(sorted({word.stem for word in sentence.words if word.stem in PERSONS}))
