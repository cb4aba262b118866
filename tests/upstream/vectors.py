"""Embeddings that are always the same: texts with words in common lie near each other."""

from __future__ import annotations

import base64
import hashlib
import math
import random
import struct
from collections.abc import Mapping
from functools import lru_cache
from typing import Any

from tests.upstream.errors import wrong

DIMENSIONS = 64


def embeddings(body: Mapping[str, Any]) -> dict[str, Any]:
    """The answer to `POST /v1/embeddings`; texts or tokens, as lists of floats or in base64."""
    given = body.get("input")
    if given in (None, "", []):
        raise wrong("'$.input' is invalid. Please check the API reference.", "input")
    many = given if isinstance(given, list) and isinstance(given[0], str | list) else [given]
    dimensions, encoded = body.get("dimensions") or DIMENSIONS, body.get("encoding_format") == "base64"
    vectors = [_vector(_words(each), dimensions) for each in many]
    data = [
        {"object": "embedding", "index": number, "embedding": _base64(vector) if encoded else vector}
        for number, vector in enumerate(vectors)
    ]
    used = sum(len(_words(each)) for each in many)
    usage = {"prompt_tokens": used, "total_tokens": used}
    return {"object": "list", "data": data, "model": body["model"], "usage": usage}


def _words(given: Any) -> list[str]:
    return given.lower().split() if isinstance(given, str) else [str(token) for token in given]


def _vector(words: list[str], dimensions: int) -> list[float]:
    sums = [sum(column) for column in zip(*(_direction(word, dimensions) for word in words or [""]), strict=True)]
    length = math.sqrt(sum(value * value for value in sums))
    return [value / length for value in sums]


@lru_cache(maxsize=10_000)
def _direction(word: str, dimensions: int) -> tuple[float, ...]:
    generator = random.Random(hashlib.sha256(word.encode()).digest())
    return tuple(generator.gauss() for _ in range(dimensions))


def _base64(vector: list[float]) -> str:
    return base64.b64encode(struct.pack(f"<{len(vector)}f", *vector)).decode()
