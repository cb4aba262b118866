"""Differences that no likeness makes up for. Each guard has the name that operators see."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Final

Figures = Mapping[str, float]

GUARDS: Final[dict[str, Callable[[Figures], bool]]] = {
    "quoted": lambda found: bool(found["quoted_differs"]),
    "numbers": lambda found: bool(found["numbers_conflict"] or found["numbers_reordered"]),
    "negation": lambda found: bool(found["negation"] and found["coverage"] > 0.75),
    "contrast": lambda found: bool(found["contrast"] or (found["particles"] and found["coverage"] > 0.75)),
    "names": lambda found: bool(
        found["names_conflict"] or (found["name_swap"] and (found["swapped_in_place"] or found["coverage"] > 0.6))
    ),
    "direction": lambda found: bool(found["roles_swapped"] or (found["names_reordered"] and found["coverage"] > 0.9)),
    "question": lambda found: bool(
        (found["ask_opposes"] or found["why"])
        and found["alone_less"] == 0
        and found["reworded"] < 0.5
        and found["coverage"] > 0.75
    ),
}


def blocking(figures: Figures) -> str:
    """The first guard that refuses the pair, or ""."""
    return next((name for name, refuses in GUARDS.items() if refuses(figures)), "")


def blocking_contexts(figures: Figures) -> str:
    """The guard that refuses two conversations, or ""."""
    if figures["asked_blocked"]:
        return "last_turn"
    if figures["reply"] and figures["proposal_blocked"] and figures["proposal_coverage"] < 0.5:
        return "proposal"
    return ""
