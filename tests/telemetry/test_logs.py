"""What logs must not say."""

from __future__ import annotations

import pytest

from telemetry.logs import mask_secrets, mask_text


@pytest.mark.parametrize(
    ("text", "secret"),
    [
        ("key mut_ab12cd34_abcdefghijklmnop is wrong", "abcdefghijklmnop"),
        ("redis://user:hunter22@host:6379/0", "hunter22"),
        ("Authorization: Bearer abc.def.ghi", "abc.def.ghi"),
        ("{'api_key': 'abcdef'}", "abcdef"),
        ("password=hunter22&user=me", "hunter22"),
        ('connect(token="hunter22")', "hunter22"),
        ("OPENAI_API_KEY=abcdef", "abcdef"),
        ("eyJhbGciOiJIUzI1NiJ9.payload.signature", "payload"),
    ],
)
def test_secrets_in_a_text_are_masked(text: str, secret: str) -> None:
    assert secret not in mask_text(text)
    assert "[masked]" in mask_text(text)


@pytest.mark.parametrize(
    "text", ["the token limit is reached", "no secret here", "https://example.org/path:8000", "3 tokens left"]
)
def test_a_text_without_secrets_stays_as_it_is(text: str) -> None:
    assert mask_text(text) == text


def test_values_under_secret_names_are_masked_and_others_are_not() -> None:
    event = mask_secrets(None, "info", {"event": "hello", "api_key": "abc", "user": "me", "tokens": 3})

    assert event == {"event": "hello", "api_key": "[masked]", "user": "me", "tokens": 3}
