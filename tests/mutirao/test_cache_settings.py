"""A wrong setting of the answer cache is named at start."""

from __future__ import annotations

from typing import Any

import pytest
from django.core.checks import run_checks


def _found() -> list[str]:
    return [str(each.msg) for each in run_checks(tags=["environment"]) if each.id in {"mutirao.E051", "mutirao.E052"}]


def test_the_usual_ones_are_right() -> None:
    assert _found() == []


@pytest.mark.parametrize(
    ("name", "value", "word"),
    [
        ("CACHE_MODE", "Semantic", "mode"), ("CACHE_TTL_SECONDS", 0, "ttl"), ("CACHE_STALE_SECONDS", -1, "stale"),
        ("CACHE_ERROR_TARGET", 0.0, "error_target"), ("CACHE_SHADOW_SHARE", 2.0, "shadow"),
        ("CACHE_MOST_IN_SCOPE", 0, "MUTIRAO_CACHE_MOST_IN_SCOPE"),
        ("CACHE_MOST_VECTORS", 0, "MUTIRAO_CACHE_MOST_VECTORS"),
    ],
)  # fmt: skip
def test_a_wrong_one_is_named(settings: Any, name: str, value: Any, word: str) -> None:
    setattr(settings, name, value)
    [sentence] = _found()
    assert word in sentence
