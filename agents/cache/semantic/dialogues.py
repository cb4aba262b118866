"""What is measured of two conversations: never the last turns alone, always with what they rest on."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Final

from agents.cache.semantic.alignment import MATCHED, likeness
from agents.cache.semantic.context import Context
from agents.cache.semantic.features import Comparison, compare_sentences
from agents.cache.semantic.guards import blocking
from agents.cache.semantic.quantities import Quantity, agree
from agents.cache.semantic.wording import Sentence, Word, sentence

NAMES: Final = (
    "cosine", "asked_coverage", "asked_blocked", "reply", "points_back", "carries_on", "speaks_to_all", "asked_words",
    "on_topic", "told_more", "told_less", "same_turns", "detail_conflict", "number_conflict", "number_shared",
    "number_conflict_all", "name_shared", "name_only_less", "name_only_more", "proposal_coverage", "proposal_blocked",
    "proposal_matters", "asked_alone", "turn_gap", "opening_coverage", "opening_blocked", "asked_name",
    "detail_matters", "turn_swap",
)  # fmt: skip
ALIKE: Final = 0.5


def compare_contexts(one: Context, other: Context, cosine: float) -> Comparison:
    """All that is measured of two dialogues whose last turns are asked."""
    asked = compare_sentences(sentence(one.last), sentence(other.last), 0.0).figures
    told = sorted((_told(one, other), _told(other, one)))
    names = sorted((len(one.names - other.names), len(other.names - one.names)))
    conflict, shared = _numbers(one.numbers("user"), other.numbers("user"))
    conflict_all, _shared = _numbers(_all_numbers(one), _all_numbers(other))
    proposal = compare_sentences(sentence(one.proposal), sentence(other.proposal), 0.0)
    opening = _opening(one, other)
    same, details, turn_swap, notes = _turns(one, other)
    reply = float(one.is_reply or other.is_reply)
    points = max(reply, float(one.points_back or other.points_back))
    words = min(_asked_words(one), _asked_words(other))
    figures = {
        "cosine": cosine,
        "asked_coverage": asked["coverage"],
        "asked_blocked": float(bool(blocking(asked))),
        "reply": reply,
        "points_back": points,
        "carries_on": float(one.carries_on or other.carries_on),
        "speaks_to_all": float(one.speaks_to_all and other.speaks_to_all),
        "asked_words": min(words, 6) / 6,
        "on_topic": max(_on_topic(one), _on_topic(other)),
        "told_more": told[1],
        "told_less": told[0],
        "same_turns": same,
        "detail_conflict": min(details, 3) / 3,
        "number_conflict": float(conflict),
        "number_shared": min(shared, 3) / 3,
        "number_conflict_all": float(conflict_all),
        "name_shared": min(len(one.names & other.names), 3) / 3,
        "name_only_less": min(names[0], 4) / 4,
        "name_only_more": min(names[1], 4) / 4,
        "proposal_coverage": proposal.figures["coverage"],
        "proposal_blocked": float(bool(blocking(proposal.figures))),
        "proposal_matters": reply * (1 - proposal.figures["coverage"]),
        "asked_alone": min(asked["alone_more"] + asked["swapped"] + asked["ask_opposes"], 3) / 3,
        "turn_gap": min(abs(len(one.turns) - len(other.turns)), 8) / 8,
        "opening_coverage": opening["coverage"],
        "opening_blocked": float(bool(blocking(opening))),
        "turn_swap": turn_swap,
        "asked_name": float(any(word.name for word in sentence(one.last).words)),
        "detail_matters": min(details, 3) / 3 * max(same, told[1]),
    }
    return Comparison(figures, notes)


def _told(one: Context, other: Context) -> float:
    """The share of what one user told that the other's dialogue has too, by meaning."""
    words = list(one.user_words.values())
    if not words:
        return 1.0
    others = {word.stem: word for each in other.sentences for word in each.words}
    return sum(_has(others, word) for word in words) / len(words)


def _has(words: dict[str, Word], word: Word) -> bool:
    return word.stem in words or any(likeness(word, each, by_vectors=False) >= MATCHED for each in words.values())


def _asked_words(context: Context) -> int:
    return sum(word.weight > 0.5 for word in sentence(context.last).words)


def _on_topic(context: Context) -> float:
    """The share of the last turn's words that were already spoken of."""
    words = [word.stem for word in sentence(context.last).content if word.weight > 0.5]
    return sum(stem in context.stems for stem in words) / len(words) if words else 1.0


def _all_numbers(context: Context) -> tuple[Quantity, ...]:
    return tuple(dict.fromkeys((*context.numbers("user"), *context.numbers("assistant"))))


def _numbers(one: tuple[Quantity, ...], other: tuple[Quantity, ...]) -> tuple[bool, int]:
    """Whether each side has numbers that the other lacks, and how many they share."""
    left = [each for each in one if not any(agree(each, twin) for twin in other)]
    right = [each for each in other if not any(agree(each, twin) for twin in one)]
    return bool(left and right), len(one) - len(left)


def _opening(one: Context, other: Context) -> dict[str, float]:
    first, second = (next(iter(_said_by_user(each)), sentence("")) for each in (one, other))
    return compare_sentences(first, second, 0.0).figures


def _said_by_user(context: Context) -> Iterable[Sentence]:
    return (each for turn, each in zip(context.turns, context.sentences, strict=True) if turn.role == "user")


def _turns(one: Context, other: Context) -> tuple[float, int, float, dict[str, str]]:
    """How the turns of the shorter dialogue stand in the longer one.

    The share that is there word for word; how many differ by something that a guard refuses; how far a word takes
    another's place in a turn that is else the same (0..1); and what an operator is told.
    """
    short, long = sorted((one, other), key=lambda each: (len(each.turns), each.last))
    theirs = {each.plain.strip(" .?!") for each in long.sentences}
    same, details, swap, where = 0, 0, 0.0, ""
    for turn, each in zip(short.turns, short.sentences, strict=True):
        if each.plain.strip(" .?!") in theirs:
            same += 1
            continue
        guard, swapped = _differs(
            each, [s for t, s in zip(long.turns, long.sentences, strict=True) if t.role == turn.role]
        )
        details += bool(guard)
        swap = max(swap, swapped if turn.role == "user" else 0.0)
        where = where or (f"{guard}: {turn.content[:80]}" if guard else "")
    return same / max(len(short.turns), 1), details, swap, {"detail": where} if where else {}


def _differs(said: Sentence, candidates: list[Sentence]) -> tuple[str, float]:
    """The guard that the most similar turn of the other dialogue meets, and how much is swapped in place there."""
    best = max(candidates, key=lambda each: _overlap(said, each), default=None)
    if best is None or _overlap(said, best) < ALIKE:
        return "", 0.0
    figures = compare_sentences(said, best, 0.0).figures
    return blocking(figures), figures["swapped_in_place"] * figures["coverage"]


def _overlap(one: Sentence, other: Sentence) -> float:
    first, second = ({word.stem for word in each.words} for each in (one, other))
    return len(first & second) / max(len(first | second), 1)
