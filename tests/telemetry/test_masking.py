"""What may not leave the process in clear."""

from __future__ import annotations

import json
import uuid
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime
from typing import Any

import pytest

from telemetry import masking
from telemetry.logs import mask_secrets
from telemetry.masking import MASK, learn_opened, learn_secrets, mask_text, masked

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
    known, opened, in_order = masking._known, masking._opened, dict(masking._in_order)
    yield
    masking._known, masking._opened = known, opened
    masking._in_order.clear()
    masking._in_order.update(in_order)


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


@pytest.mark.usefixtures("_forget")
def test_stored_secrets_are_masked_from_when_they_are_opened() -> None:
    plain, longer = "0123456789abcdef0123456789abcdef", "0123456789abcdef0123456789abcdef-2"
    text = f"The key {plain} and the key {longer}, but not short7x."
    assert mask_text(text) == text
    for secret in (plain, longer, "short7x", plain):
        learn_opened(secret)
    assert mask_text(text) == f"The key {MASK} and the key {MASK}, but not short7x."
    event = {"event": text, "exception": f"ValueError: {plain}"}
    assert mask_secrets(None, "error", event) == {"event": mask_text(text), "exception": f"ValueError: {MASK}"}


@pytest.mark.usefixtures("_forget")
def test_of_the_opened_secrets_the_latest_are_kept_whoever_opens_them(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(masking, "MOST_OPENED", 100)
    secrets = [f"a-secret-with-number-{number:04}" for number in range(400)]
    with ThreadPoolExecutor(8) as pool:
        pool.map(learn_opened, secrets)
    assert len(masking._opened) == len(masking._in_order) == 100
    learn_opened(secrets[0])
    learn_opened(secrets[-1])
    assert mask_text(f"{secrets[0]} {secrets[-1]}") == f"{MASK} {MASK}"


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
