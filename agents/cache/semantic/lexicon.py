"""Word knowledge: stems, synonyms, contrasts. The lists are data files beside this module, written by hand."""

from __future__ import annotations

import re
from collections import defaultdict
from functools import cache, lru_cache
from itertools import groupby
from pathlib import Path
from typing import Final

FOLDER: Final = Path(__file__).parent / "lexicon"
_SPELLING: Final = (("isation", "ization"), ("ising", "izing"), ("ised", "ized"), ("ise", "ize"), ("our", "or"))


@lru_cache(maxsize=50_000)
def stem(word: str) -> str:
    """The word without its ending, spelled the American way: “organised” and “organizes” are one."""
    irregular = _irregular().get(word)
    if irregular:
        return irregular
    if len(word) <= 3 or not word.isalpha():
        return word
    base = _singular(word)
    if base not in words("spelled_alike"):
        for british, american in _SPELLING:
            if base.endswith(british) and len(base) > len(british) + 2:
                base = base[: -len(british)] + american
                break
    return _without_tense(base)


@cache
def _irregular() -> dict[str, str]:
    pairs = (line.split() for line in _text("irregular.txt") if line and not line.startswith("#"))
    return {form: pair[0] for pair in pairs for form in pair[1:]}


def _singular(word: str) -> str:
    if word.endswith("ies") and len(word) > 4:
        return word[:-3] + "y"
    if word.endswith(("ches", "shes", "sses", "xes", "zes")):
        return word[:-2]
    if word.endswith("s") and not word.endswith(("ss", "us", "is")):
        return word[:-1]
    return word


def _without_tense(word: str) -> str:
    for ending in ("ing", "ed"):
        base = word.removesuffix(ending)
        if base == word or len(base) < 3 or not set(base) & set("aeiouy"):
            continue
        if base[-1] == base[-2] and base[-1] not in "lsz":
            return base[:-1]
        return base.removesuffix("e")
    return word.removesuffix("e") if len(word) > 4 else word


_DERIVED: Final = ("ation", "ition", "ment", "tion", "sion", "ness", "ance", "ence", "able", "ible", "ally", "ity",
    "ing", "ion", "ant", "ent", "ful", "al", "er", "or", "ly", "ic", "y", "t")  # fmt: skip


def related(one: str, other: str) -> bool:
    """Whether two stems are of one family by their form: pay and payment, but not refund and refundable's opposites."""
    short, long = sorted((one, other), key=len)
    if len(short) < 3 or short == long or not long.startswith(short[: max(3, len(short) - 1)]):
        return False
    shared = len(short) if long.startswith(short) else len(short) - 1
    return long[shared:] in _DERIVED or long[shared:].removeprefix("e") in _DERIVED


def is_typo(one: str, other: str) -> bool:
    """Whether two words are within one slip (two in long words): a letter more, less, other, or two swapped."""
    longest = max(len(one), len(other))
    if longest < 4 or one[:1] != other[:1] or one.isdigit() or other.isdigit() or abs(len(one) - len(other)) > 2:
        return False
    return _edits(one, other) <= (1 if longest < 8 else 2)


def _edits(one: str, other: str) -> int:
    """Damerau's distance with adjacent swaps."""
    before: list[int] = []
    row = list(range(len(other) + 1))
    for i, left in enumerate(one, 1):
        older, before, row = before, row, [i] + [0] * len(other)
        for j, right in enumerate(other, 1):
            row[j] = min(before[j] + 1, row[j - 1] + 1, before[j - 1] + (left != right))
            if i > 1 and j > 1 and left == other[j - 2] and one[i - 2] == right:
                row[j] = min(row[j], older[j - 2] + 1)
    return row[-1]


def _text(name: str) -> list[str]:
    return (FOLDER / name).read_text(encoding="utf-8").splitlines()


def _lines(name: str) -> list[list[str]]:
    rows = [line.split(",") for line in _text(name) if line.strip() and not line.startswith("#")]
    return [[each.strip() for each in row if each.strip()] for row in rows]


def key(entry: str) -> str:
    """How a word or phrase of the lists is looked up."""
    return "_".join(stem(word) for word in entry.replace("-", " ").lower().split())


@cache
def words(name: str) -> frozenset[str]:
    """One of the classes of words.txt."""
    text = "\n".join(line for line in _text("words.txt") if not line.startswith("#"))
    classes = dict(each.split(":", 1) for each in re.split(r"\n(?=\w)", text.strip()))
    return frozenset(classes[name].split())


def frames() -> list[tuple[str, str]]:
    """The ways to put a question: what each asks, with a pattern; lines of one kind that follow each other are one."""
    lines = [line.split(maxsplit=1) for line in _text("frames.txt") if line and not line.startswith("#")]
    return [(ask, "|".join(pattern for _ask, pattern in of)) for ask, of in groupby(lines, key=lambda line: line[0])]


@cache
def phrases() -> dict[str, list[tuple[str, ...]]]:
    """Phrases of several words by their first stem, longest first."""
    found: dict[str, set[tuple[str, ...]]] = defaultdict(set)
    for row in [*_lines("synonyms.txt"), *_lines("contrasts.txt")]:
        for entry in row:
            parts = tuple(key(entry).split("_"))
            if len(parts) > 1:
                found[parts[0]].add(parts)
    return {first: sorted(all_, key=lambda each: (-len(each), each)) for first, all_ in found.items()}


@cache
def _groups(name: str) -> dict[str, frozenset[int]]:
    found: dict[str, set[int]] = defaultdict(set)
    for number, row in enumerate(_lines(name)):
        for entry in row:
            found[key(entry)].add(number)
    return {word: frozenset(numbers) for word, numbers in found.items()}


def is_listed(stem: str) -> bool:
    """Whether the lists know something that contrasts with the word, so that it narrows what is asked."""
    return stem in _groups("contrasts.txt")


def are_synonyms(one: str, other: str) -> bool:
    """Whether the lists hold the two for the same."""
    groups = _groups("synonyms.txt")
    return bool(groups.get(one, frozenset()) & groups.get(other, frozenset()))


def are_contrasted(one: str, other: str) -> bool:
    """Whether the lists hold the two apart, or one is the other with a negating prefix."""
    if one == other:
        return False
    groups = _groups("contrasts.txt")
    return bool(groups.get(one, frozenset()) & groups.get(other, frozenset())) or _is_negated(one, other)


def _is_negated(one: str, other: str) -> bool:
    short, long = sorted((one, other), key=len)
    return len(short) > 2 and any(
        long == prefix + short for prefix in ("un", "in", "im", "il", "ir", "dis", "non", "de", "mis")
    )
