"""What people are told about an error, and whether it is tried again."""

from __future__ import annotations

import pydantic
import pytest
from django.core.exceptions import ImproperlyConfigured
from langgraph.errors import GraphRecursionError

from agents.definitions.exceptions import UnknownGraphKind
from agents.gateway.exceptions import ModelRateLimited, ModelRejected, ModelUnavailable
from agents.runtime.control import RunInterrupted
from agents.runtime.failures import failure_of
from agents.tasks.exceptions import InvalidInput


class Parcel(pydantic.BaseModel):
    weight: int


def invalid() -> Exception:
    try:
        Parcel.model_validate({"weight": "heavy"})
    except pydantic.ValidationError as error:
        return error
    raise AssertionError


def raised(error: Exception) -> BaseException:
    with pytest.raises(type(error)) as caught:
        raise error
    return caught.value


class ShyError(Exception):
    def __str__(self) -> str:
        raise RuntimeError


@pytest.mark.parametrize(
    "error",
    [
        ModelUnavailable(),
        ModelRateLimited(),
        RuntimeError(),
        KeyError("a"),
        ConnectionError(),
        TimeoutError(),
    ],
)
def test_what_may_pass_is_tried_again(error: Exception) -> None:
    assert failure_of(error).retryable


@pytest.mark.parametrize(
    "error",
    [
        ModelRejected(), InvalidInput(), invalid(), ImproperlyConfigured(), ModuleNotFoundError(),
        UnknownGraphKind(),        GraphRecursionError(), NotImplementedError(),
    ],
)  # fmt: skip
def test_what_would_fail_again_is_not_tried_again(error: Exception) -> None:
    assert not failure_of(error).retryable


def test_an_agents_own_error_may_say_whether_it_is_worth_another_try() -> None:
    class ClosedError(Exception):
        retryable = False

    assert not failure_of(ClosedError()).retryable


def test_the_other_sides_wish_is_kept() -> None:
    assert failure_of(ModelRateLimited(retry_after=12)).retry_after == 12.0
    assert failure_of(ModelUnavailable()).retry_after is None


def test_a_step_limit_and_a_deadline_are_said_in_words() -> None:
    assert failure_of(GraphRecursionError()).error_type == "StepLimitReached"
    assert failure_of(RunInterrupted("deadline")).message == "The run took longer than it may."


def test_secrets_are_masked_in_message_and_traceback() -> None:
    failure = failure_of(raised(RuntimeError("postgres://me:hunter22@db/x api_key='abcdef' sk-abcdefghijkl")))

    for text in (failure.message, failure.traceback):
        assert "RuntimeError" in failure.traceback
        for secret in ("hunter22", "abcdef"):
            assert secret not in text


def test_everything_is_bounded_and_fits_a_database() -> None:
    failure = failure_of(raised(RuntimeError("\x00" + "x" * 100_000)))

    assert len(failure.message) <= 2_000
    assert len(failure.traceback) <= 16_000
    assert "\x00" not in failure.message + failure.traceback
    assert failure.traceback.startswith("Traceback")


def test_an_error_that_cannot_say_what_it_is_is_still_a_failure() -> None:
    assert failure_of(ShyError()).message == "ShyError"
    assert failure_of(RuntimeError()).message == "RuntimeError"
