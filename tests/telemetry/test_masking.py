"""What may not leave the process in clear."""

from __future__ import annotations

import json
import uuid
from collections.abc import Iterator
from datetime import UTC, datetime
from typing import Any

import pytest

from telemetry import masking
from telemetry.masking import MASK, learn_secrets, mask_text, masked

SECRET = "canary7Qm2Zr9x"
FORMS = [
    "api_key={}",
    "Authorization: Bearer {}",
    "sent Bearer {} to nobody",
    "postgres://user:{}@db.example/x",
    '{{"password": "{}"}}',
    "mut_ab12cd34_{}",
    "sk-{}",
    "eyJhbGciOiJIUzI1NiJ9.{}.signature",
    "{{'credentials': '{}'}}",
    "ghp_{}",
]


@pytest.fixture
def _forget() -> Iterator[None]:
    known = masking._known
    yield
    masking._known = known


@pytest.mark.parametrize("form", FORMS)
@pytest.mark.parametrize(
    "wrap", [str, repr, json.dumps, lambda text: repr(repr(text)), lambda text: f"one\n{text}\ntwo"]
)
def test_a_secret_is_masked_in_a_text_and_in_every_quotation_of_it(form: str, wrap: Any) -> None:
    text = wrap("before\n" + form.format(SECRET) + "\nafter")
    assert SECRET not in mask_text(text)
    assert "after" in mask_text(text)


@pytest.mark.parametrize("form", FORMS)
def test_masking_twice_is_masking_once(form: str) -> None:
    once = mask_text(form.format(SECRET))
    assert mask_text(once) == once


@pytest.mark.parametrize(
    "text", ["a task-identifier of the desk-12345678", "the bearer of bad news", "Bearer authentication", "risk-free"]
)
def test_words_that_only_look_like_it_stay(text: str) -> None:
    assert mask_text(text) == text


@pytest.mark.usefixtures("_forget")
def test_the_secrets_of_the_environment_are_masked_wherever_they_stand() -> None:
    learn_secrets({
        "OPENAI_API_KEY": "value-of-a-key", "MUTIRAO_ENCRYPTION_KEYS": "first-of-two,second-of-two",
        "DATABASE_URL": "postgres://me:password-of-db@host/x", "SHORT_KEY": "ab", "LANG": "pt_BR.UTF-8",
    })  # fmt: skip
    said = mask_text("value-of-a-key first-of-two second-of-two password-of-db ab pt_BR.UTF-8")
    assert said == f"{MASK} {MASK} {MASK} {MASK} ab pt_BR.UTF-8"


def test_nested_values_are_masked_and_plain_ones_stay() -> None:
    identity, time = uuid.uuid4(), datetime.now(UTC)
    found = masked({
        "user": "me", "count": 3, "id": identity, "at": time, "tokens": 12, "none": None,
        "headers": [{"X-Api-Key": SECRET, "Accept": "*/*"}], "credentials": {"any": [SECRET, 5]},
        "error": ValueError(f"password={SECRET}"), "texts": (f"sk-{SECRET}", "plain"),
    })  # fmt: skip
    assert found == {
        "user": "me", "count": 3, "id": identity, "at": time, "tokens": 12, "none": None,
        "headers": [{"X-Api-Key": MASK, "Accept": "*/*"}], "credentials": {"any": [MASK, 5]},
        "error": f"ValueError('password={MASK}')", "texts": [MASK, "plain"],
    }  # fmt: skip


def test_what_contains_itself_and_what_cannot_be_shown_end_somewhere() -> None:
    circle: list[Any] = []
    circle.append(circle)

    class Unshowable:
        def __repr__(self) -> str:
            raise RuntimeError

    assert "…" in repr(masked(circle))
    assert masked(Unshowable()) == "<Unshowable>"
