"""What went wrong in a run, in words that may be shown and kept."""

from __future__ import annotations

import traceback
from typing import Final

import pydantic
from django.core.exceptions import ImproperlyConfigured, ValidationError
from langgraph.errors import GraphRecursionError, InvalidUpdateError

from agents.definitions.exceptions import AgentError
from agents.runtime.control import RunInterrupted
from agents.runtime.exceptions import StepLimitReached
from agents.runtime.json_values import storable_text
from agents.tasks.data import Failure
from agents.tasks.exceptions import InvalidInput
from telemetry.logs import mask_text

LONGEST_TYPE: Final = 100
LONGEST_MESSAGE: Final = 2_000
LONGEST_TRACEBACK: Final = 16_000

# What fails in the same way however often it is tried: wrong input, wrong configuration, code that is not
# there.
_NEVER_RETRYABLE = (
    AgentError,
    ImportError,
    ImproperlyConfigured,
    InvalidInput,
    InvalidUpdateError,
    NotImplementedError,
    SyntaxError,
    ValidationError,
    pydantic.ValidationError,
)


def failure_of(error: BaseException) -> Failure:
    """The failure that this error is.

    An error says itself whether a later attempt may help, by an attribute `retryable`, and how many seconds
    to leave the other side alone, by `retry_after` (the gateway's do, an agent's own may). Of the others,
    what fails in the same way every time is not retryable; the unexpected is, within the task's attempts.
    Message and traceback are bounded, without secrets, and never name the values of variables.
    """
    if isinstance(error, GraphRecursionError):
        error = StepLimitReached().with_traceback(error.__traceback__)
    retry_after = getattr(error, "retry_after", None)
    return Failure(
        error_type=type(error).__name__[:LONGEST_TYPE],
        message=_clean(_message_of(error), LONGEST_MESSAGE),
        traceback=_clean("".join(traceback.format_exception(error)), LONGEST_TRACEBACK),
        retryable=_is_retryable(error),
        retry_after=float(retry_after) if isinstance(retry_after, int | float) else None,
    )


def _is_retryable(error: BaseException) -> bool:
    if isinstance(said := getattr(error, "retryable", None), bool):
        return said
    return not isinstance(error, _NEVER_RETRYABLE)


def _message_of(error: BaseException) -> str:
    if isinstance(error, RunInterrupted) and error.reason == "deadline":
        return "The run took longer than it may."
    try:
        return str(error) or type(error).__name__
    except Exception:
        return type(error).__name__


def _clean(text: str, longest: int) -> str:
    """Masked before it is cut, or half a secret could pass. The end of a traceback says most, so both ends
    stay.
    """
    text = storable_text(mask_text(text))
    if len(text) <= longest:
        return text
    half = (longest - 5) // 2
    return f"{text[:half]}\n…\n{text[-half:]}"
