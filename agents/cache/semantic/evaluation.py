"""Scores labelled pairs the way the cache would, and counts what it would have served."""

from __future__ import annotations

import json
from collections import defaultdict
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any, Final

from django.utils.translation import gettext as _

from agents.cache.semantic import verifier
from agents.cache.semantic.calibration import calibrated_threshold, wilson
from agents.cache.semantic.data import Dialogue, dialogue_of

Judge = Callable[[Dialogue, Dialogue], bool | None]
"""Says whether one answer serves both; None when it cannot tell, which counts as no."""

SETTINGS: Final = ("default", "relaxed")
JUDGED: Final = "judged"
CONFIDENCE: Final = 0.9
UNNAMED: Final = "other"


class UnusablePairs(ValueError):
    """The pairs cannot be used."""


@dataclass(frozen=True, slots=True)
class Pair:
    """A labelled pair. `category` names what it is like, or "other"."""

    a: Dialogue
    b: Dialogue
    same_answer: bool
    category: str


@dataclass(frozen=True, slots=True)
class Scored:
    """A pair with its kind and its scores: one a seed when it was learned from, else one."""

    pair: Pair
    kind: str
    scores: tuple[float, ...]
    blocked_by: str
    cross_fitted: bool
    promoted: bool = False

    def served(self, setting: str) -> float:
        """The share of its scores that a setting serves, 0..1."""
        name = "default" if setting == JUDGED else setting
        line = verifier.threshold(name, self.kind)
        share = sum(score >= line for score in self.scores) / len(self.scores)
        return 1.0 if setting == JUDGED and self.promoted else share


def read_pairs(path: Path) -> list[Pair]:
    """The rows of a JSON or JSON-lines file. Raises UnusablePairs with a sentence that names the row."""
    try:
        text = path.read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError):
        raise UnusablePairs(_("The file %(path)s cannot be read.") % {"path": path}) from None
    rows = _rows(text)
    if not rows:
        raise UnusablePairs(_("The file %(path)s has no pairs.") % {"path": path})
    return [_pair(number, row) for number, row in enumerate(rows, 1)]


def score_pairs(pairs: Sequence[Pair], *, folds: int, seeds: int, judge: Judge | None = None) -> list[Scored]:
    """Every pair with its scores; those that were learned from, by models that saw neither them nor their like."""
    return [_judged(each, judge) for each in _scores(pairs, folds, seeds)]


def summary(scored: Sequence[Scored], *, judged: bool = False, error_target: float | None = None) -> dict[str, Any]:
    """What each setting serves, per category, along the whole curve; with a target, the threshold that keeps it."""
    names = (*SETTINGS, JUDGED) if judged else SETTINGS
    found: dict[str, Any] = {
        "pairs": len(scored),
        "same_answer": sum(each.pair.same_answer for each in scored),
        "cross_fitted": sum(each.cross_fitted for each in scored),
        "settings": {name: _setting(scored, name) for name in names},
        "categories": _categories(scored, names),
        "guards": _guards(scored),
        "curve": _curve(scored),
    }
    if error_target is not None:
        found["calibrated"] = {
            "error_target": error_target,
            "confidence": CONFIDENCE,
            "threshold": _calibrated(scored, error_target),
        }
    return found


def _rows(text: str) -> list[Any]:
    if text.lstrip().startswith("["):
        try:
            whole = json.loads(text)
        except ValueError:
            raise UnusablePairs(_("The file is not JSON.")) from None
        return list(whole)
    found = []
    for number, line in enumerate(text.splitlines(), 1):
        if line.strip():
            try:
                found.append(json.loads(line))
            except ValueError:
                raise UnusablePairs(_("Line %(number)s is not JSON.") % {"number": number}) from None
    return found


def _pair(number: int, row: Any) -> Pair:
    missing = [name for name in ("a", "b", "same_answer") if not isinstance(row, dict) or name not in row]
    if missing:
        raise UnusablePairs(_("Row %(number)s has no %(field)s.") % {"number": number, "field": missing[0]})
    if not isinstance(row["same_answer"], bool):
        raise UnusablePairs(_("Row %(number)s: same_answer is neither true nor false.") % {"number": number})
    try:
        dialogues = [dialogue_of(row[side]) for side in ("a", "b")]
    except (ValueError, TypeError) as error:
        raise UnusablePairs(_("Row %(number)s: %(error)s") % {"number": number, "error": error}) from None
    category = str(row.get("category") or row.get("subtype") or UNNAMED)
    return Pair(dialogues[0], dialogues[1], row["same_answer"], category)


def _scores(pairs: Sequence[Pair], folds: int, seeds: int) -> list[Scored]:
    from agents.cache.semantic import training

    known = known_pairs()
    found = []
    for pair in pairs:
        one, other = verifier.prepare(pair.a), verifier.prepare(pair.b)
        kind = verifier.kind_of(one, other)
        verdict = verifier.compare(one, other)
        key = training.key_of(pair.a, pair.b)
        learned_from = key in known
        scores = training.cross_fitted(kind, folds=folds, seeds=seeds)[key] if learned_from else (verdict.score,)
        found.append(Scored(pair, kind, scores, verdict.blocked_by, learned_from))
    return found


@cache
def known_pairs() -> frozenset[str]:
    """The keys of the pairs that the shipped model learned from."""
    from agents.cache.semantic import training

    return frozenset(training.key_of(one, other) for one, other, _label in training.labelled())


def _judged(each: Scored, judge: Judge | None) -> Scored:
    """With a judge, near misses are asked about; what a guard refuses is not."""
    low = verifier.threshold("refused", each.kind)
    if judge is None or each.blocked_by or max(each.scores) < low or each.served("default") == 1:
        return each
    return Scored(
        each.pair, each.kind, each.scores, each.blocked_by, each.cross_fitted, judge(each.pair.a, each.pair.b) is True
    )


def _setting(scored: Sequence[Scored], name: str) -> dict[str, Any]:
    trues = [each.served(name) for each in scored if each.pair.same_answer]
    traps = [each.served(name) for each in scored if not each.pair.same_answer]
    hits = sum(trues) + sum(traps)
    return {
        "true_served": _share(trues),
        "traps_served": _share(traps),
        "true_served_interval": _interval(trues),
        "traps_served_interval": _interval(traps),
        "true_pairs": len(trues),
        "trap_pairs": len(traps),
        "hits": round(hits, 2),
        "wrong_hits": round(sum(traps), 2),
        "hit_rate": round(hits / len(scored), 4),
        "precision": round(sum(trues) / hits, 4) if hits else None,
    }


def _share(served: Sequence[float]) -> float | None:
    return round(sum(served) / len(served), 4) if served else None


def _interval(served: Sequence[float]) -> list[float]:
    """Wilson's 95 % interval; seeds are averaged, so that a pair counts once however many there are."""
    return [round(each, 4) for each in wilson(sum(served), len(served))]


def _categories(scored: Sequence[Scored], names: Sequence[str]) -> dict[str, Any]:
    groups: dict[str, list[Scored]] = defaultdict(list)
    for each in scored:
        groups[each.pair.category].append(each)
    return {
        category: {
            "pairs": len(members),
            "same_answer": sum(each.pair.same_answer for each in members),
            "served": {name: _share([each.served(name) for each in members]) for name in names},
        }
        for category, members in sorted(groups.items())
    }


def _guards(scored: Sequence[Scored]) -> Mapping[str, Mapping[str, int]]:
    """How often each guard refused, rightly and wrongly."""
    found: dict[str, dict[str, int]] = {}
    for each in scored:
        if each.blocked_by:
            counts = found.setdefault(each.blocked_by, {"traps": 0, "true": 0})
            counts["true" if each.pair.same_answer else "traps"] += 1
    return dict(sorted(found.items()))


def _curve(scored: Sequence[Scored]) -> list[list[float | None]]:
    """[threshold, share of true pairs served, share of traps served], from the strictest threshold to the laxest."""
    lines = [*(step / 50 for step in range(50, 0, -1)), 0.01]
    return [
        [
            line,
            *(
                _share([_above(each, line) for each in scored if each.pair.same_answer is same])
                for same in (True, False)
            ),
        ]
        for line in lines
    ]


def _above(each: Scored, line: float) -> float:
    return sum(score >= line for score in each.scores) / len(each.scores)


def _calibrated(scored: Sequence[Scored], error_target: float) -> float | None:
    means = [(sum(each.scores) / len(each.scores), each.pair.same_answer) for each in scored]
    found = calibrated_threshold(means, error_target=error_target, confidence=CONFIDENCE)
    return None if found is None else round(found, 4)
