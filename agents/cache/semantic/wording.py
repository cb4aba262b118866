"""Takes one sentence apart: what is asked (how, when, whether …), and the words that carry what it is about."""

from __future__ import annotations

import re
import unicodedata
from dataclasses import dataclass
from functools import lru_cache
from typing import Final

from agents.cache.semantic import lexicon, quantities
from agents.cache.semantic.quantities import Quantity

_QUOTES: Final = str.maketrans({"’": "'", "‘": "'", "“": '"', "”": '"', "–": "-", "—": "-", "\u00a0": " "})
_CONTRACTIONS: Final = (
    (r"\bcan'?t\b|\bcannot\b", "can not"), (r"\bwon'?t\b", "will not"), (r"\bshan't\b", "shall not"),
    (r"\b(do|does|did|is|are|was|were|has|have|had|would|could|should|must|need)n'?t\b", r"\1 not"),
    (r"\bain't\b", "is not"), (r"\b(what|who|where|when|how|why)'?s\b", r"\1 is"),
    (r"\b(it|that|there|here)'s\b", r"\1 is"),
    (r"\b(i)'?m\b", "i am"), (r"\b(\w+)'re\b", r"\1 are"), (r"\b(\w+)'ve\b|\b(i)ve\b", r"\1\2 have"),
    (r"\b(\w+)'ll\b", r"\1 will"), (r"\b(\w+)'d\b", r"\1 would"), (r"\bo' ?clock\b", "o'clock"),
    (r"(\w)'s\b", r"\1"), (r"(\w)s'(?=\s|$)", r"\1s"), (r"\bnon[- ](?=\w)", "non"),
    (r"\b(?:teh|hte)\b", "the"), (r"\bhalf an hour\b|\bhalf hour\b", "30 minutes"), (r"\bnoon\b", "12pm"),
    (r"\b(?:a|one) dozen\b", "12"), (r"\btwo times\b", "twice"), (r"\b(u\.?k\.?)(?= |$)", "uk"),
    (r"\b(within|after|before|under) (?:a|an|one) (?=(?:hour|day|week|month|year|fortnight)\b)", r"\1 1 "),
    (r"\b(this|next|last) (?=(?:mon|tues|wednes|thurs|fri|satur|sun)day|week|month|year|term|season|summer|winter)",
     r"\1time "),
    (r"\b(in|since|until|by|from|next|last|this|\d+(?:st|nd|rd|th)?|early|late|of) may\b(?! (?:i|we|you|be|not)\b)",
     r"\1 maymonth"),
    (r"\bmay (?=\d)", "maymonth "),
    (r"\bwanna\b", "want to"), (r"\bgonna\b", "going to"), (r"\b(u)\b", "you"), (r"\br\b(?= (?:you|there|we))", "are"),
)  # fmt: skip
_FILLERS: Final = re.compile(
    r"""^\W*(?:hi|hello|hey|hiya|howdy|good\ (?:morning|afternoon|evening|day)|morning|afternoon|evening
        |greetings)
        (?:\ (?:there|team|all|folks|guys|everyone|again))?(?=[\s,.!:;-])[\s,.!:;-]*
    |^\W*(?:(?:just\ a\ |a\ )?quick\ (?:one|question|q)|random\ (?:q|question)|question)\s*[:,-]\s*
    |\b(?:um+|uh+|er+m?|erm|hmm+|lol|haha|pls|plz|please|kindly|btw|tbh|by\ the\ way|you\ know)\b
    |\b(?:many\ thanks|thanks(?:\ (?:a\ lot|so\ much|in\ advance|again))?|thank\ you(?:\ (?:very|so)\ much)?
        |cheers|ta)[\s.!]*$
    |^\W*(?:so|ok|okay|right|well|and|but|also|anyway|actually|yeah|yes|no(?=,)|ah|oh|sorry)\b[\s,.:]*""",
    re.VERBOSE,
)
_ASIDES: Final = re.compile(
    r"""^\W*(?:(?:can|could|would|will)\ (?:you|someone|anyone)\ (?:tell\ me|let\ me\ know|explain\ to\ me|say
            |advise(?:\ me)?)
        |tell\ me|let\ me\ know|do\ you\ know|any\ idea|does\ anyone\ know|please\ advise
        |i\ (?:was|am)?\ ?(?:just\ )?(?:wondering|curious)
        |i\ (?:want|need|would\ like)\ to\ know)\s+(?:if|about)?\s*""",
    re.VERBOSE,
)
# What a frame asks, tried in order; the frame itself is dropped from the sentence.
_FRAMES: Final = tuple((ask, re.compile(pattern)) for ask, pattern in lexicon.frames())
FUNCTION: Final = lexicon.words("function")
_SHARED: Final = lexicon.words("shared")
_PARTICLES: Final = re.compile(
    r"\b(?:up|down|on|off|if|unless|always|never|before|after|with|without|into|onto|over|under|ago)\b"
)
_QUOTED: Final = re.compile(r"`([^`]+)`|\"([^\"]{2,})\"")
POLAR: Final = lexicon.words("polar")
LIGHT: Final = lexicon.words("light")
NEGATIONS: Final = lexicon.words("negations")
NEGATIVE: Final = frozenset(lexicon.stem(word) for word in lexicon.words("negative"))
PERSONS: Final = lexicon.words("persons")


@dataclass(frozen=True, slots=True)
class Word:
    """One word or joined phrase. `weight` is how much it says (0..1.5); `name` means it looks like a proper name."""

    text: str
    stem: str
    weight: float
    name: bool
    quantity: Quantity | None = None


@dataclass(frozen=True, slots=True)
class Sentence:
    """What one text asks and about what. `plain` is the whole text, folded and without fillers.

    `english` is false for longer texts without one of the commonest English words: the lists know nothing of those.
    `leads` is whether the question word stands first: a clause was not moved in front of it.
    """

    plain: str
    ask: str
    leads: bool
    words: tuple[Word, ...]
    numbers: tuple[Quantity, ...]
    negations: int
    particles: frozenset[str]
    quoted: frozenset[str]
    english: bool

    @property
    def content(self) -> tuple[Word, ...]:
        """The words that carry meaning, numbers aside."""
        return tuple(word for word in self.words if word.quantity is None)


@lru_cache(maxsize=4096)
def sentence(text: str) -> Sentence:
    """The text taken apart."""
    folded = unicodedata.normalize("NFKC", text).translate(_QUOTES)
    names = _names(folded)
    plain = _without_fillers(_expanded(_MAY.sub("Maymonth", folded).lower()))
    ask, rest, lead = _ask(plain)
    words = _priced(ask, _joined(_words(rest, names)))
    kept = tuple(word for word in words if word.quantity is not None or word.weight > 0)
    return Sentence(
        plain=plain,
        ask=ask,
        leads=lead < 2,
        words=kept,
        numbers=tuple(word.quantity for word in kept if word.quantity is not None),
        negations=sum(token in NEGATIONS for token in re.findall(r"[^\W\d_]+", plain)),
        particles=frozenset(re.findall(_PARTICLES, plain)),
        quoted=frozenset(one or two for one, two in _QUOTED.findall(folded.lower())),
        english=_is_english(plain),
    )


def _is_english(plain: str) -> bool:
    tokens = re.findall(r"[^\W\d_]+", plain)
    return len(tokens) < 4 or any(token in FUNCTION and token not in _SHARED for token in tokens)


def _names(text: str) -> frozenset[str]:
    """Words that stand capitalised where no sentence begins; none when the whole text shouts or Capitalises Each."""
    tokens = re.findall(r"[^\W\d_][\w'&-]*", text)
    capital = [token for token in tokens if token[0].isupper()]
    if len(tokens) > 2 and len(capital) > 0.7 * len(tokens):
        return frozenset()
    inner = re.findall(r"(?<![.!?:]\s)(?<!^)(?<![\"'(])\b([A-Z][\w&'-]*)", text)
    return frozenset(
        part
        for word in inner
        if word not in {"I", "I'm", "I've", "I'd", "I'll"}
        for part in re.split(r"[-'&]", word.lower())
        if part
    )


def _expanded(text: str) -> str:
    for pattern, replacement in _COMPILED:
        text = pattern.sub(replacement, text)
    return text


_MAY: Final = re.compile(r"(?<=[a-z0-9,] )May\b(?! (?:I|we|you|be|not)\b)")
_PRICES: Final = frozenset(lexicon.stem(word) for word in lexicon.words("prices"))
_COMPILED: Final = tuple((re.compile(pattern), replacement) for pattern, replacement in _CONTRACTIONS)


def _without_fillers(text: str) -> str:
    before = None
    while before != text:
        before = text
        text = _ASIDES.sub(" ", _FILLERS.sub(" ", text)).strip(" ,.!")
    return re.sub(r"\s+", " ", text)


def _ask(text: str) -> tuple[str, str, int]:
    for ask, pattern in _FRAMES:
        found = pattern.search(text)
        if found:
            return ask, text[: found.start()] + " " + text[found.end() :], found.start()
    return "tell", text, 0


def _priced(ask: str, words: list[Word]) -> list[Word]:
    """A question for the price speaks of one, whether it says “cost”, “charge” or only “how much”."""
    if ask != "price":
        return words
    return [word for word in words if word.stem not in _PRICES] + [Word("price", "price", 0.6, name=False)]


def _words(text: str, names: frozenset[str]) -> list[Word]:
    found: list[Word] = []
    for match in quantities.TOKEN.finditer(text):
        kind = match.lastgroup or "word"
        if kind == "word":
            _add_word(found, match[0], names)
        else:
            found.append(_number(quantities.of_match(kind, match[0])))
    return found


def _add_word(found: list[Word], token: str, names: frozenset[str]) -> None:
    stem = lexicon.stem(token)
    value = quantities.spelled(token)
    last = found[-1].quantity if found else None
    if value is not None and token != "one":  # noqa: S105
        if last is not None and last.kind == "" and token in quantities.SCALES:
            found[-1] = _number(Quantity("", str(int(float(last.value) * value))))
        else:
            found.append(_number(Quantity("", str(value))))
        return
    timed = quantities.with_unit(last, stem) if last is not None else None
    if timed is not None:
        found[-1] = _number(timed)
        return
    found.append(Word(token, stem, _weight(token, stem), name=token in names))


def _number(quantity: Quantity) -> Word:
    return Word(quantity.value, quantity.value, 1.0, name=False, quantity=quantity)


def _weight(token: str, stem: str) -> float:
    if stem in POLAR or token in POLAR:
        return 0.8
    if token in FUNCTION or token in NEGATIONS:
        return 0.0
    return 0.4 if stem in LIGHT else 1.0


def _joined(words: list[Word]) -> list[Word]:
    """Phrases of the lists become one word: “turn on”, “direct debit”."""
    found: list[Word] = []
    at = 0
    stems = [word.stem for word in words]
    while at < len(words):
        size = next((len(p) for p in lexicon.phrases().get(stems[at], ()) if tuple(stems[at : at + len(p)]) == p), 1)
        found.append(words[at] if size == 1 else _phrase(words[at : at + size]))
        at += size
    return found


def _phrase(parts: list[Word]) -> Word:
    return Word(
        " ".join(part.text for part in parts),
        "_".join(part.stem for part in parts),
        max(1.0, max(part.weight for part in parts)),
        name=any(part.name for part in parts),
    )
