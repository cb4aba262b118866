"""What may not leave the process in clear: one set of masks for logs, errors, traces and whatever else is sent away."""

from __future__ import annotations

import os
import re
import threading
from collections.abc import Mapping, Set
from datetime import date, time, timedelta
from decimal import Decimal
from typing import Any
from urllib.parse import urlsplit
from uuid import UUID

MASK = "[masked]"
# What is deeper or longer is cut: nobody reads it, and a structure may contain itself.
DEEPEST = 24
MOST_ITEMS = 1_000
# Shorter ones would mask ordinary words.
SHORTEST_KNOWN_SECRET = 8
MOST_OPENED = 1_000

_NAMES = (
    r"(?:password|passwd|secret|token|api[_-]?key|private[_-]?key|access[_-]?key|authorization|cookie|credential)s?"
)
SECRET_NAMES = re.compile(rf"{_NAMES}$", re.IGNORECASE)
# A text is often somebody's repr of another: there a line break is a backslash and an n, and quotes have backslashes.
_BEGINNING = r"(?:(?<![A-Za-z0-9])|(?<=\\[nrt]))"
_PREFIXES = r"(?:mut_[a-z0-9]{4,}_|sk-|eyJ|gh[pousr]_|github_pat_|xox[abpr]-|lsv2_|hf_|AIza|AKIA)"
SECRET_VALUES = re.compile(
    rf"{_BEGINNING}{_PREFIXES}[A-Za-z0-9_\-.]{{8,}}"
    r"|whsec_[A-Za-z0-9+/=_\-]{8,}"
    r"|(?<=://)[^/\s:@]*:[^/\s@]+(?=@)"
    r"|(?<=Bearer )(?=\S*\d)[A-Za-z0-9._~+/=\-]{12,}"
)
_VALUES = r"""(?!\[masked\])(\\*"[^"]*"|\\*'[^']*'|(?:Bearer\s+|Basic\s+)?[^\s"',;)}\]\\]+)"""
SECRET_ASSIGNMENTS = re.compile(rf"""({_NAMES}(?:\\*["'])?\s*[=:]\s*){_VALUES}""", re.IGNORECASE)
_SECRET_VARIABLE = re.compile(r"(KEY|KEYS|TOKEN|SECRET|PASSWORD|DSN)$")
_HARMLESS = (bool, int, float, Decimal, UUID, date, time, timedelta, type(None))

_known: re.Pattern[str] | None = None
# Stored secrets that this process has opened lately, the longest first. It is replaced as a whole, so that whoever
# masks needs no lock.
_opened: tuple[str, ...] = ()
_in_order: dict[str, None] = {}
_lock = threading.Lock()


def learn_secrets(environ: Mapping[str, str] = os.environ) -> None:
    """Takes in the secrets of the environment, and the passwords in its addresses: they are masked wherever they
    stand from now on."""
    global _known
    found = {secret for name, value in environ.items() for secret in _secrets_of(name, value)}
    long_enough = sorted((each for each in found if len(each) >= SHORTEST_KNOWN_SECRET), key=len, reverse=True)
    _known = re.compile("|".join(map(re.escape, long_enough))) if long_enough else None


def learn_opened(secret: str) -> None:
    """Takes in a stored secret when it is opened: it is masked wherever it stands from now on. The last MOST_OPENED are
    kept.
    """
    global _opened
    if len(secret) < SHORTEST_KNOWN_SECRET or secret in _in_order:
        return
    with _lock:
        _in_order[secret] = None
        while len(_in_order) > MOST_OPENED:
            del _in_order[next(iter(_in_order))]
        _opened = tuple(sorted(_in_order, key=len, reverse=True))


def _secrets_of(name: str, value: str) -> list[str]:
    if _SECRET_VARIABLE.search(name):
        return [value, *value.split(",")]
    if name.endswith("_URL"):
        try:
            return [urlsplit(value).password or ""]
        except ValueError:
            return []
    return []


def mask_text(text: str) -> str:
    """The text without keys, JWTs, URL passwords, what is assigned to a secret-sounding name, the secrets of the
    environment, and stored ones that were opened."""
    if _known is not None:
        text = _known.sub(MASK, text)
    for secret in _opened:
        text = text.replace(secret, MASK)
    return SECRET_VALUES.sub(MASK, SECRET_ASSIGNMENTS.sub(rf"\1{MASK}", text))


def masked(value: Any, *, name: str = "", depth: int = 0) -> Any:
    """A copy of the value, at any depth, without secrets: plain JSON types, times and ids stay, other objects become
    their masked text. `name` is the key under which it stands."""
    is_secret = bool(name and SECRET_NAMES.search(name))
    if isinstance(value, str):
        return MASK if is_secret and value else mask_text(value)
    if isinstance(value, _HARMLESS):
        return value
    if depth >= DEEPEST:
        return "…"
    if isinstance(value, Mapping):
        return {
            str(key): masked(inner, name=name if is_secret else str(key), depth=depth + 1)
            for key, inner in [*value.items()][:MOST_ITEMS]
        }
    if isinstance(value, list | tuple | Set):
        return [masked(inner, name=name if is_secret else "", depth=depth + 1) for inner in [*value][:MOST_ITEMS]]
    return MASK if is_secret else mask_text(_text_of(value))


def _text_of(value: object) -> str:
    """Never fails: the masks stand where errors are told."""
    try:
        return repr(value)
    except Exception:
        return f"<{type(value).__name__}>"
