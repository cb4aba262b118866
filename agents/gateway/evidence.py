"""What the cache made of a call, in sentences: all of it for operators, and for whoever asked what is theirs to know.

Words of the evidence may be another person's, of a question that came near: they are for operators alone.
"""

from __future__ import annotations

import uuid
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from decimal import Decimal
from typing import Any, Final

from django.utils.formats import number_format
from django.utils.text import capfirst
from django.utils.translation import gettext as _
from django.utils.translation import gettext_lazy, ngettext

from agents.gateway.models import ModelCall

# By the names that agents.cache.semantic gives its guards.
GUARDS: Final[Mapping[str, Any]] = {
    "quoted": gettext_lazy("what stands in quotation marks differs"),
    "numbers": gettext_lazy("the numbers differ"),
    "negation": gettext_lazy("only one of the two says “not”"),
    "contrast": gettext_lazy("one says the opposite of the other"),
    "names": gettext_lazy("the names differ"),
    "direction": gettext_lazy("what comes from where, or goes where, has changed places"),
    "question": gettext_lazy("something else is asked of the same thing"),
    "last_turn": gettext_lazy("what was said last differs"),
    "proposal": gettext_lazy("it replies to another proposal"),
    "language": gettext_lazy("for this language only the same words pass"),
    "long": gettext_lazy("it is too long to be compared"),
    "history": gettext_lazy("only one of the two has a history"),
    "instructions": gettext_lazy("the instructions differ"),
    "tools": gettext_lazy("what tools have answered differs"),
}
NOTES: Final[Mapping[str, Any]] = {
    "instead": gettext_lazy("One in place of the other: %(said)s."),
    "only_in_one": gettext_lazy("In one of the two alone: %(said)s."),
    "detail": gettext_lazy("Told differently: %(said)s."),
}
NOT_KEPT: Final[Mapping[str, Any]] = {
    "empty": gettext_lazy("it is empty"),
    "truncated": gettext_lazy("it did not come to its own end"),
    "refused": gettext_lazy("the model refused"),
    "malformed": gettext_lazy("its tool calls cannot be read"),
    "large": gettext_lazy("it is too large"),
    "raced": gettext_lazy("another one was kept at the same moment"),
}
MINUTE, HOUR, DAY = 60, 3600, 86_400
# What is text and yet nobody's words.
_NAMES: Final = ("kind", "blocked_by", "not_kept")
# From there on a time is told in seconds.
LONG_MS: Final = 10_000


@dataclass(frozen=True, slots=True)
class Told:
    """A call with what a page says of it."""

    call: ModelCall
    answered_by: str
    why: str
    cost: str
    lines: tuple[str, ...]


def told_to_operator(call: ModelCall) -> Told:
    """All that is known."""
    evidence = _evidence(call)
    lines = (*_comparison(evidence), *_notes(evidence), _facts(call), _not_kept(evidence))
    return _told(call, lines)


def told_to_owner(call: ModelCall) -> Told:
    """Without anything of the question that came near."""
    score = _number(_evidence(call), "score") if call.similarity is not None else None
    said = _("score %(score)s") % {"score": number_format(score, 3)} if score else ""
    return _told(call, (_facts(call, said),))


def without_words(evidence: object) -> dict[str, Any] | None:
    """The figures and names of the evidence: what whoever asked may know of it."""
    if not isinstance(evidence, dict):
        return None
    return {name: value for name, value in evidence.items() if isinstance(value, int | float) or name in _NAMES}


def entry_of(call: ModelCall) -> uuid.UUID | None:
    """The cache entry that was given, or came near."""
    if call.cache_entry_id is not None:
        return call.cache_entry_id
    try:
        return uuid.UUID(str(_evidence(call).get("entry")))
    except ValueError:
        return None


def answered_by(call: ModelCall) -> str:
    """A provider, or the cache."""
    return _("cache: %(tier)s") % {"tier": call.get_tier_display()} if call.tier else _("provider")


def cost_of(call: ModelCall) -> str:
    """Not zero where no price is known."""
    return _("price not known") if call.cost is None else money(call.cost)


def money(amount: Decimal) -> str:
    """With as many decimals as it has."""
    return number_format(amount.normalize())


def _told(call: ModelCall, lines: tuple[str, ...]) -> Told:
    said = tuple(line for line in lines if line)
    return Told(call, answered_by(call), call.get_cache_why_display(), cost_of(call), said)


def _evidence(call: ModelCall) -> Mapping[str, Any]:
    return call.cache_evidence if isinstance(call.cache_evidence, dict) else {}


def _number(evidence: Mapping[str, Any], name: str) -> float | None:
    value = evidence.get(name)
    return float(value) if isinstance(value, int | float) else None


def _comparison(evidence: Mapping[str, Any]) -> Iterator[str]:
    """The guard that refused, or the score beside what was needed."""
    guard, score, threshold = evidence.get("blocked_by"), _number(evidence, "score"), _number(evidence, "threshold")
    if guard:
        said = {"guard": guard, "reason": GUARDS.get(str(guard), "")}
        text = _("Refused by the guard “%(guard)s”: %(reason)s.") if said["reason"] else _("Refused by “%(guard)s”.")
        yield text % said
    elif score is not None and threshold is not None:
        said = {"score": number_format(score, 3), "threshold": number_format(threshold, 3)}
        yield _("Score %(score)s; at least %(threshold)s was needed.") % said


def _notes(evidence: Mapping[str, Any]) -> Iterator[str]:
    """What the verifier says of the words."""
    for name, text in NOTES.items():
        if isinstance(evidence.get(name), str):
            yield text % {"said": evidence[name]}


def _facts(call: ModelCall, *more: str) -> str:
    """Similarity, age and what was saved, in one line."""
    parts = []
    if call.similarity is not None:
        parts.append(_("similarity %(cosine)s") % {"cosine": number_format(call.similarity, 3)})
    parts += more
    if call.tier:
        if call.age_seconds:
            parts.append(_("answer is %(age)s old") % {"age": _age(call.age_seconds)})
        parts.append(_("saved %(what)s") % {"what": _saved(call)})
    return capfirst(" · ".join(part for part in parts if part))


def _saved(call: ModelCall) -> str:
    """Money and time; tokens where no price is known."""
    tokens = call.saved_input_tokens + call.saved_output_tokens
    if call.saved_cost:
        first = f"US$ {money(call.saved_cost)}"
    else:
        first = ngettext("%(count)s token", "%(count)s tokens", tokens) % {"count": number_format(tokens)}
    return _("%(what)s and %(time)s") % {"what": first, "time": _time(call.saved_ms)}


def _not_kept(evidence: Mapping[str, Any]) -> str:
    why = evidence.get("not_kept")
    return _("The answer was not kept: %(why)s.") % {"why": NOT_KEPT.get(str(why), why)} if why else ""


def _time(ms: float) -> str:
    return f"{number_format(ms / 1000, 1)} s" if ms >= LONG_MS else f"{number_format(ms, 0)} ms"


def _age(seconds: float) -> str:
    if seconds < MINUTE:
        return f"{number_format(seconds, 0)} s"
    if seconds < HOUR:
        return f"{int(seconds // MINUTE)} min"
    if seconds < DAY:
        return f"{int(seconds // HOUR)} h"
    days = int(seconds // DAY)
    return ngettext("%(count)d day", "%(count)d days", days) % {"count": days}
