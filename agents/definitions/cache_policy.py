"""When an agent's model calls may be answered by an earlier answer, and what a caller may say about that."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any, Final, Literal, get_args

from django.utils.translation import gettext as _

Mode = Literal["off", "exact", "semantic"]
Use = Literal["use", "bypass", "refresh"]

LONGEST_TTL_SECONDS: Final = 366 * 86_400
MOST_NAMES: Final = 20
LONGEST_NAME: Final = 100


@dataclass(frozen=True, slots=True)
class CachePolicy:
    """An agent's `cache`, read. All of it is optional:

    `mode`: `off`, `exact` (only for the same request) or `semantic` (also for one with the same meaning); empty: the
    installation's.
    `shareable`: answers are given to everybody who may use the agent, not only to whom they were given first.
    `ttl`, `stale`: for how many seconds an answer is given, and for how many more it is given while it is asked anew.
    `any_temperature`: answers are kept whatever the temperature.
    `error_target`: the share of wrong answers among those of the semantic tier that is put up with.
    `tags`: words by which its answers are invalidated together.
    `knowledge`: names of knowledge whose change makes its answers outdated.
    `judge`: the model (`provider:model` or a route) that judges near misses.
    `shadow`: the share of semantic hits that are asked again to see whether they were right.
    """

    mode: Mode | None = None
    shareable: bool = False
    ttl: int | None = None
    stale: int | None = None
    any_temperature: bool = False
    error_target: float | None = None
    tags: tuple[str, ...] = ()
    knowledge: tuple[str, ...] = ()
    judge: str = ""
    shadow: float | None = None

    @classmethod
    def of(cls, policy: Mapping[str, Any]) -> CachePolicy:
        """The cache policy of a version; what it does not say, or this version does not know, is the default."""
        known = {name: policy[name] for name in cls.__slots__ if policy.get(name) is not None}
        for name in ("tags", "knowledge"):
            known[name] = tuple(known.get(name, ()))
        return cls(**known)


@dataclass(frozen=True, slots=True)
class Wishes:
    """What a caller wants of the cache for one task; it can only be stricter than the agent.

    `use`: `bypass` neither reads nor keeps anything, `refresh` asks anew and keeps the answer.
    `mode`: at most this tier. `least_score`: the verifier's least score for a semantic hit, from 0 to 1.
    `max_age`: in seconds, of the answer.
    """

    use: Use = "use"
    mode: Mode | None = None
    least_score: float | None = None
    max_age: float | None = None

    @classmethod
    def of(cls, wishes: Mapping[str, Any]) -> Wishes:
        """As a task holds them."""
        return cls(**{name: wishes[name] for name in cls.__slots__ if wishes.get(name) is not None})


def asked_anew(wishes: Mapping[str, Any]) -> dict[str, Any]:
    """The same wishes of somebody who does not want the answer that they got before."""
    return dict(wishes) if wishes.get("use") == "bypass" else {**wishes, "use": "refresh"}


_NUMBERS: Final = {
    "ttl": (1, LONGEST_TTL_SECONDS), "stale": (0, LONGEST_TTL_SECONDS), "error_target": (0.0001, 0.5), "shadow": (0, 1),
    "least_score": (0, 1), "max_age": (0, LONGEST_TTL_SECONDS),
}  # fmt: skip
_CHOICES: Final = {"mode": get_args(Mode), "use": get_args(Use)}
_FLAGS: Final = ("shareable", "any_temperature")
_LISTS: Final = ("tags", "knowledge")


def cache_policy_errors(policy: Mapping[str, Any]) -> Iterator[str]:
    """What is wrong with an agent's `cache`, in sentences."""
    return _errors(policy, CachePolicy.__slots__)


def wishes_errors(wishes: Mapping[str, Any]) -> Iterator[str]:
    """What is wrong with a caller's wishes, in sentences."""
    return _errors(wishes, Wishes.__slots__)


def _errors(given: Mapping[str, Any], known: tuple[str, ...]) -> Iterator[str]:
    for name, value in given.items():
        if name not in known:
            yield _("The cache has no “%(name)s”; there are %(known)s.") % {"name": name, "known": ", ".join(known)}
        elif message := _error(name, value):
            yield message


def _error(name: str, value: object) -> str:
    if name in _NUMBERS:
        least, most = _NUMBERS[name]
        is_number = isinstance(value, int | float) and not isinstance(value, bool)
        said = {"name": name, "least": least, "most": most}
        wrong = not is_number or not least <= value <= most  # type: ignore[operator]
        return _("“%(name)s” has to be a number from %(least)s to %(most)s.") % said if wrong else ""
    if name in _CHOICES:
        said = {"name": name, "choices": ", ".join(_CHOICES[name])}
        return "" if value in _CHOICES[name] else _("“%(name)s” has to be one of: %(choices)s.") % said
    if name in _FLAGS:
        return "" if isinstance(value, bool) else _("“%(name)s” has to be true or false.") % {"name": name}
    if name in _LISTS:
        return "" if _is_names(value) else _("“%(name)s” has to be a list of names.") % {"name": name}
    return "" if isinstance(value, str) else _("“%(name)s” has to be text.") % {"name": name}


def _is_names(value: object) -> bool:
    return (
        isinstance(value, list | tuple)
        and len(value) <= MOST_NAMES
        and all(isinstance(each, str) and 0 < len(each) <= LONGEST_NAME for each in value)
    )
