"""What a last turn rests on: the proposal it accepts, the option it picks, and the facts said before it."""

from __future__ import annotations

import re
from dataclasses import dataclass
from functools import cached_property
from typing import Final

from agents.cache.semantic.data import Dialogue, Turn, last_user
from agents.cache.semantic.quantities import ORDINALS, Quantity
from agents.cache.semantic.wording import Sentence, Word, sentence

LONGEST_RENDERED: Final = 300
_REPLY: Final = re.compile(
    r"""^\W*(?:(?:yes|yeah|yep|yup|sure|ok|okay|please|no|nope|go|do|that|sounds|perfect|great|fine|book|send|cancel|the|option
        |number|first|second|third|last|both|neither|either|it|them|\d|thanks|lovely|exactly|correct|right|agreed|alright)\b)""",
    re.VERBOSE,
)
_PICK: Final = re.compile(
    r"\b(?:option|number|choice|no\.?)\s*(\d)\b|\b(first|second|third|fourth|last|former|latter)\b"
    r"|^\W*(\d|[a-d])\W*(?:please)?\W*$"
)
_POINTER: Final = re.compile(
    r"\b(?:it|its|that|this|those|these|they|them|their|there|then|one|ones|he|she|him|her|same|instead|either|both|else|else's)\b"
)
_CARRIES_ON: Final = re.compile(r"^\W*(?:so|and|ok|okay|but|then|also|what about|how about|fine|great|right|ah|oh)\b")
_GENERIC: Final = re.compile(r"\b(?:do|does|can|will|are|is) (?:you|your)\b|\byour\b|\byou\b")
_NUMBERED: Final = re.compile(r"(?:\boption\s*)?\(?\b[1-4A-D]\b\)?\s*(?:is\b|for\b|:|\)|\.(?=\s)|-)\s*")
_LETTERS: Final = str.maketrans("abcd", "1234")


@dataclass(frozen=True)
class Context:
    """One dialogue before its last user turn."""

    turns: tuple[Turn, ...]
    last: str

    @cached_property
    def sentences(self) -> tuple[Sentence, ...]:
        """Every earlier turn, taken apart."""
        return tuple(sentence(turn.content) for turn in self.turns)

    @cached_property
    def proposal(self) -> str:
        """What the assistant said last; for a reply that picks an option, that option alone."""
        said = next((turn.content for turn in reversed(self.turns) if turn.role == "assistant"), "")
        return _picked(said, self.last) or _question_of(said)

    @cached_property
    def is_reply(self) -> bool:
        """Whether the last turn answers the assistant: “yes please”, “the second one”, “book it”."""
        words = [word for word in sentence(self.last).words if word.weight > 0.5 and word.quantity is None]
        short = len(self.last.split()) <= 6 and "?" not in self.last
        return bool(_REPLY.match(self.last.lower()) and short) or (short and len(words) <= 1)

    @cached_property
    def points_back(self) -> bool:
        """Whether the last turn has a word for something said before, such as “it” or “there”."""
        return bool(
            _POINTER.search(re.sub(r"\b(?:is|are|was) there\b|\bis it\b(?= (?:ok|possible))", "", self.last.lower()))
        )

    @cached_property
    def carries_on(self) -> bool:
        """Whether the last turn begins as a continuation: “so …”, “and …”."""
        return bool(_CARRIES_ON.match(self.last.lower()))

    @cached_property
    def speaks_to_all(self) -> bool:
        """Whether the last turn asks what the other side does for everybody: “do you …”, “your …”."""
        return bool(_GENERIC.search(self.last.lower()))

    @cached_property
    def stems(self) -> frozenset[str]:
        """What was spoken of, by either side."""
        return frozenset(word.stem for each in self.sentences for word in each.words if word.weight > 0.5)

    @cached_property
    def user_words(self) -> dict[str, Word]:
        """The user's own words that carry meaning, by stem."""
        return {
            word.stem: word
            for turn, each in zip(self.turns, self.sentences, strict=True)
            if turn.role == "user"
            for word in each.content
            if word.weight > 0.5
        }

    @cached_property
    def names(self) -> frozenset[str]:
        """Proper names that were said, the ones of the last turn too."""
        words = (word for each in (*self.sentences, sentence(self.last)) for word in each.words)
        return frozenset(word.stem for word in words if word.name and word.weight > 0.5)

    def numbers(self, role: str) -> tuple[Quantity, ...]:
        """The quantities that one side said, each once."""
        found = (
            quantity
            for turn, each in zip(self.turns, self.sentences, strict=True)
            if turn.role == role
            for quantity in each.numbers
        )
        return tuple(dict.fromkeys(found))


def context_of(dialogue: Dialogue) -> Context:
    """The context of the last user turn; system turns are instructions, compared elsewhere by their exact text."""
    at = last_user(dialogue)
    return Context(tuple(turn for turn in dialogue[:at] if turn.role != "system"), dialogue[at].content)


def rendered(dialogue: Dialogue) -> str:
    """One text to embed: what is asked first, then what was said last, then how it began."""
    context = context_of(dialogue)
    if not context.turns:
        return context.last
    opening = [turn.content for turn in context.turns if turn.role == "user"][:1]
    return "\n".join(text[:LONGEST_RENDERED] for text in (context.last, context.turns[-1].content, *opening))


def _question_of(said: str) -> str:
    parts = re.split(r"(?<=[.?!])\s+", said.strip())
    asked = [part for part in parts if part.endswith("?")]
    return " ".join(parts[-2:]) if len(asked) == 1 and len(parts[-1].split()) < 6 else (asked[-1] if asked else said)


def _picked(said: str, reply: str) -> str:
    found = _PICK.search(reply.lower())
    if found is None or len(reply.split()) > 8:
        return ""
    chosen = (found[1] or found[3] or "").translate(_LETTERS)
    place = int(chosen) if chosen else {"former": 1, "latter": 2, "last": 0}.get(found[2], ORDINALS.get(found[2], 0))
    options = _options(said)
    if not options or place > len(options):
        return ""
    return options[place - 1]


def _options(said: str) -> list[str]:
    numbered = _NUMBERED.split(said)
    if len(numbered) > 2:
        return [_trimmed(part) for part in numbered[1:]]
    asked = next((part for part in reversed(re.split(r"(?<=[.?!])\s+", said)) if re.search(r"\bor\b", part)), "")
    parts = re.split(r",?\s+\bor\b\s+|,\s+", asked)
    return [_trimmed(part) for part in parts if part.strip()] if len(parts) > 1 else []


def _trimmed(option: str) -> str:
    return re.split(r"[.?!](?:\s|$)|,?\s*\bor\s*$", option.strip())[0].strip(" ,;")
