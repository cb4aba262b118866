"""Signatures as Standard Webhooks has them, checked by a second reading of its specification."""

from __future__ import annotations

import base64
import hashlib
import hmac
import re
import runpy
import time
from pathlib import Path

import pytest

from agents.webhooks import signing


def verify(secret: str, headers: dict[str, str], body: bytes) -> bool:
    """What a receiver does, written from the specification and not from our code."""
    key = base64.b64decode(secret.split("_", 1)[1])
    signed = b".".join([headers["webhook-id"].encode(), headers["webhook-timestamp"].encode(), body])
    expected = base64.b64encode(hmac.new(key, signed, hashlib.sha256).digest()).decode()
    candidates = [each.split(",", 1) for each in headers["webhook-signature"].split(" ")]
    return any(version == "v1" and hmac.compare_digest(given, expected) for version, given in candidates)


def test_the_published_example_comes_out() -> None:
    """The example that the reference libraries of Standard Webhooks (and Svix) are tested with."""
    made = signing.signature(
        "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw", "msg_p5jXN8AQM9LWM0D4loKWxJek", 1614265330, b'{"test": 2432232314}'
    )
    assert made == "v1,g0hM9SsE+OTPJTGt/tmIKtSyZlE3uFJELVlNIOLJ1OE="


def test_a_secret_is_long_and_new_each_time() -> None:
    made = {signing.new_secret() for _ in range(20)}
    assert len(made) == 20
    assert all(len(base64.b64decode(secret.removeprefix("whsec_"))) == 32 for secret in made)


@pytest.mark.parametrize("part", ["webhook-id", "webhook-timestamp", "webhook-signature"])
def test_every_part_is_signed(part: str) -> None:
    secret = signing.new_secret()
    headers = signing.headers([secret], "msg_1", 1_700_000_000, b"{}")
    assert verify(secret, headers, b"{}")
    assert not verify(secret, headers, b"{ }")
    assert not verify(signing.new_secret(), headers, b"{}")
    changed = {"webhook-id": "msg_2", "webhook-timestamp": "1700000001", "webhook-signature": "v1,AAAA"}
    assert not verify(secret, headers | {part: changed[part]}, b"{}")


def test_two_secrets_sign_side_by_side() -> None:
    old, new = signing.new_secret(), signing.new_secret()
    headers = signing.headers([new, old], "msg_1", 1, b"{}")
    assert verify(old, headers, b"{}")
    assert verify(new, headers, b"{}")
    assert headers["webhook-signature"].count("v1,") == 2


def test_the_example_of_the_guide_says_yes_and_no(tmp_path: Path) -> None:
    guide = (Path(__file__).resolve().parents[2] / "docs" / "webhooks.md").read_text()
    (code,) = re.findall(r"```python\n(.*?)```", guide, re.DOTALL)
    file = tmp_path / "receiver.py"
    file.write_text(code)
    is_genuine = runpy.run_path(str(file))["is_genuine"]
    old, new, now = signing.new_secret(), signing.new_secret(), int(time.time())
    headers = signing.headers([new, old], "msg_1", now, b"{}")
    assert is_genuine(new, headers, b"{}")
    assert is_genuine(old, headers, b"{}")
    assert not is_genuine(signing.new_secret(), headers, b"{}")
    assert not is_genuine(new, headers, b"{} ")
    assert not is_genuine(new, signing.headers([new], "msg_1", now - 600, b"{}"), b"{}")
