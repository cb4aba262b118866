"""Values that fit a JSON column on every database."""

from __future__ import annotations

import dataclasses
import math
import re
from collections.abc import Collection, Mapping
from datetime import date, datetime, time
from enum import Enum
from typing import Any

# PostgreSQL's text and jsonb refuse NUL; UTF-8 has no lone surrogates, which a JSON escape can smuggle in.
_UNSTORABLE = re.compile("[\x00\ud800-\udfff]")
DEEPEST = 50
"""Levels of nesting after which a value is described in words instead: it may contain itself."""


def storable_text(text: str) -> str:
    """The text without what a database cannot keep."""
    return _UNSTORABLE.sub("", text)


def storable(value: Any, *, depth: int = 0) -> Any:
    """The value as plain JSON: models and dataclasses as objects, NaN and infinity as null, the rest as
    text.
    """
    if value is None or (isinstance(value, bool | int) and not isinstance(value, Enum)):
        return value
    if isinstance(value, Enum):
        return storable(value.value, depth=depth)
    if isinstance(value, str):
        return storable_text(value)
    if isinstance(value, float):
        return value if math.isfinite(value) else None
    if depth < DEEPEST and (nested := _nested(value, depth + 1)) is not None:
        return nested
    return storable_text(value.isoformat() if isinstance(value, datetime | date | time) else str(value))


def _nested(value: Any, depth: int) -> Any:
    if isinstance(value, Mapping):
        return {storable_text(str(key)): storable(item, depth=depth) for key, item in value.items()}
    if dataclasses.is_dataclass(value) and not isinstance(value, type):
        names = [field.name for field in dataclasses.fields(value)]
        return {name: storable(getattr(value, name), depth=depth) for name in names}
    if callable(dump := getattr(value, "model_dump", None)) and not isinstance(value, type):
        return storable(dump(), depth=depth)
    if isinstance(value, Collection) and not isinstance(value, bytes | bytearray):
        return [storable(item, depth=depth) for item in value]
    return None
