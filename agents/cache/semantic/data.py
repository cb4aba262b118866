"""What is compared, and what comes out of a comparison."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from typing import TYPE_CHECKING, Any, Final

if TYPE_CHECKING:
    import numpy as np
    import numpy.typing as npt

    from agents.cache.semantic.wording import Sentence

ROLES: Final = ("system", "user", "assistant", "tool")
_ALIASES: Final = {"human": "user", "ai": "assistant", "developer": "system"}


@dataclass(frozen=True, slots=True)
class Turn:
    """One message of a conversation. `role` is system, user, assistant or tool."""

    role: str
    content: str


Dialogue = tuple[Turn, ...]
"""Oldest first; the last user turn is what is asked."""


@dataclass(frozen=True)
class Prepared:
    """All that is compared of one dialogue. `vector` is float32[d] of unit length; the rest is read off the text."""

    dialogue: Dialogue
    vector: npt.NDArray[np.float32] = field(compare=False, repr=False)

    @property
    def is_question(self) -> bool:
        """Whether it is one question with no history."""
        return is_question(self.dialogue)

    @cached_property
    def asked(self) -> Sentence:
        """The last user turn, taken apart."""
        from agents.cache.semantic.wording import sentence

        return sentence(self.dialogue[last_user(self.dialogue)].content)

    @cached_property
    def context(self) -> Any:
        """What was said before, taken apart (agents.cache.semantic.context.Context)."""
        from agents.cache.semantic.context import context_of

        return context_of(self.dialogue)


@dataclass(frozen=True, slots=True)
class Verdict:
    """`score` is the calibrated probability that one answer serves both, `similarity` the cosine of the vectors.

    `blocked_by` names the guard that refused ("" for none); then the score is 0. `evidence` is JSON for operators.
    """

    score: float
    similarity: float
    blocked_by: str
    evidence: Mapping[str, float | str]


def dialogue_of(given: str | Sequence[Mapping[str, Any]]) -> Dialogue:
    """A question or a list of {"role", "content"} as a dialogue. Raises ValueError with a sentence."""
    turns = (Turn("user", given),) if isinstance(given, str) else tuple(_turn(each) for each in given)
    if not any(turn.role == "user" and turn.content.strip() for turn in turns):
        raise ValueError("There is no user turn with text.")
    return turns


def is_question(dialogue: Dialogue) -> bool:
    """Whether it is one question with no history."""
    return sum(turn.role != "system" for turn in dialogue) == 1


def last_user(dialogue: Dialogue) -> int:
    """Where the last user turn is. Raises ValueError when there is none."""
    for number in range(len(dialogue) - 1, -1, -1):
        if dialogue[number].role == "user":
            return number
    raise ValueError("There is no user turn.")


def _turn(message: Mapping[str, Any]) -> Turn:
    if not isinstance(message, Mapping):
        raise ValueError("A message is not an object with role and content.")  # noqa: TRY004
    role = _ALIASES.get(str(message.get("role")), str(message.get("role")))
    if role not in ROLES:
        raise ValueError(f"“{str(message.get('role'))[:40]}” is not a role.")
    return Turn(role, _text(message.get("content", "")))


def _text(content: Any) -> str:
    """The text of a message; parts that are not text count by what they are, so that they are not taken for equal."""
    if isinstance(content, str):
        return content
    if isinstance(content, list):
        return " ".join(part if isinstance(part, str) else str(part.get("text") or part) for part in content)
    raise ValueError("A message has no text.")
