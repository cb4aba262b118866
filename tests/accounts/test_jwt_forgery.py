"""Tokens that nobody of us has made, or made for something else: 401 and a problem, whatever they are."""

from __future__ import annotations

import base64
import hmac
import json
import time
import uuid
from collections.abc import Callable, Iterator
from hashlib import sha256, sha512
from typing import Any

import jwt
import pytest
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import ec, rsa
from django.conf import settings
from rest_framework.test import APIClient

from accounts.models import ApiSession, User

pytestmark = pytest.mark.django_db
TOKEN = "/api/v1/auth/token"
Claims = dict[str, Any]


@pytest.fixture
def pair(member: User) -> dict[str, str]:
    answer: dict[str, str] = APIClient().post(TOKEN, {"username": "member", "password": "member-password-1"}).json()
    return answer


@pytest.fixture
def claims(pair: dict[str, str]) -> Claims:
    """Those of a real access token."""
    found: Claims = jwt.decode(pair["access"], options={"verify_signature": False})
    return found


def ask(access: str) -> tuple[int, str]:
    """Status and kind of the answer to a request with this token."""
    client = APIClient(raise_request_exception=False)
    client.credentials(HTTP_AUTHORIZATION=f"Bearer {access}")
    answer = client.get("/api/v1/me")
    kind = answer["Content-Type"]
    assert kind == ("application/json" if answer.status_code == 200 else "application/problem+json")
    return answer.status_code, answer.json().get("type", "")


def trade(refresh: str) -> int:
    """Status of the answer to a refresh, and to signing out, with this token."""
    client = APIClient(raise_request_exception=False)
    statuses = {client.post(f"{TOKEN}/{verb}", {"refresh": refresh}).status_code for verb in ("refresh", "revoke")}
    assert len(statuses) == 1
    return statuses.pop()


def signed(claims: Claims, key: str = settings.JWT_SIGNING_KEY, **options: Any) -> str:
    """As we sign, unless told otherwise."""
    return jwt.encode(claims, key, **({"algorithm": "HS256"} | options))


def _part(value: Any) -> str:
    text = value if isinstance(value, str) else json.dumps(value)
    return base64.urlsafe_b64encode(text.encode()).decode().rstrip("=")


def by_hand(header: Any, claims: Any, key: bytes = settings.JWT_SIGNING_KEY.encode(), digest: Any = sha256) -> str:
    """A signed token with a header and claims that no library writes."""
    text = f"{_part(header)}.{_part(claims)}"
    signature = hmac.digest(key, text.encode(), digest)
    return f"{text}.{base64.urlsafe_b64encode(signature).decode().rstrip('=')}"


def test_the_claims_signed_as_we_do_open(claims: Claims) -> None:
    """The control: what is refused below is not refused for how this test makes it."""
    assert ask(signed(claims))[0] == 200
    assert ask(by_hand({"alg": "HS256", "typ": "JWT"}, claims))[0] == 200


def test_no_algorithm_and_other_algorithms_are_refused(claims: Claims) -> None:
    curve = ec.generate_private_key(ec.SECP256R1())
    pair = rsa.generate_private_key(public_exponent=65537, key_size=2048)
    public = pair.public_key().public_bytes(serialization.Encoding.PEM, serialization.PublicFormat.SubjectPublicKeyInfo)
    forged = {
        "none": jwt.encode(claims, "", algorithm="none"),
        "None": f"{_part({'alg': 'None', 'typ': 'JWT'})}.{_part(claims)}.",
        "no signature": signed(claims).rpartition(".")[0] + ".",
        "RS256": jwt.encode(claims, pair, algorithm="RS256"),
        "ES256": jwt.encode(claims, curve, algorithm="ES256"),
        "our key, HS512": by_hand({"alg": "HS512", "typ": "JWT"}, claims, digest=sha512),
        "our key, HS256 called RS256": by_hand({"alg": "RS256", "typ": "JWT"}, claims),
        "a public key as the secret": by_hand({"alg": "HS256", "typ": "JWT"}, claims, public),
        "an empty key": by_hand({"alg": "HS256", "typ": "JWT"}, claims, b""),
        "another key": signed(claims, "another-key-of-more-than-thirty-two-characters"),
        "the key of everything else": signed(claims, settings.SECRET_KEY),
        "the default key": signed(claims, "insecure-development-key-no-server-starts-with-it"),
    }
    assert {name: ask(token) for name, token in forged.items()} == dict.fromkeys(
        forged, (401, "urn:mutirao:invalid-token")
    )


def test_headers_that_name_another_key_are_not_looked_at(claims: Claims) -> None:
    other = "another-key-of-more-than-thirty-two-characters"
    headers: list[Claims] = [
        {"kid": "../../dev/null"},
        {"kid": "x' UNION SELECT 'a"},
        {"jku": "http://127.0.0.1:1/keys"},
        {"x5u": "http://127.0.0.1:1/keys"},
        {"jwk": {"kty": "oct", "k": _part(other)}},
    ]
    for header in headers:
        assert ask(signed(claims, other, headers=header))[0] == 401
        assert ask(signed(claims, headers=header))[0] == 200, "with our key it does no harm"


LATER, EARLIER = 3600, -3600
WRONG: dict[str, Callable[[], Claims]] = {
    "another issuer": lambda: {"iss": "somebody"},
    "another audience": lambda: {"aud": "mutirao-other"},
    "a list of other audiences": lambda: {"aud": ["a", "b"]},
    "expired": lambda: {"exp": int(time.time()) + EARLIER},
    "not yet": lambda: {"nbf": int(time.time()) + LATER},
    "issued in the future": lambda: {"iat": int(time.time()) + LATER},
    "another type": lambda: {"token_type": "refresh"},
    "no such type": lambda: {"token_type": ["access"]},
    "another person": lambda: {"user_id": str(uuid.uuid4())},
    "a person that is no id": lambda: {"user_id": "1 OR 1=1"},
    "a person that is a number": lambda: {"user_id": 1},
    "a person that is a list": lambda: {"user_id": ["a"]},
    "another session": lambda: {"sid": str(uuid.uuid4())},
    "a session that is none": lambda: {"sid": {"a": 1}},
    "a session with a NUL": lambda: {"sid": "\0"},
    "another password": lambda: {"hash_password": "x"},
    "a password that is a list": lambda: {"hash_password": []},
    "the end of time": lambda: {"exp": 10**400},
    "times that are text": lambda: {"exp": "tomorrow"},
    "times that are infinite": lambda: {"exp": float("inf")},
    "times that are nothing": lambda: {"exp": None},
    "a huge year": lambda: {"exp": 10**14},
}


@pytest.mark.parametrize("wrong", WRONG)
def test_a_wrong_claim_is_refused_though_we_had_signed_it(claims: Claims, wrong: str) -> None:
    token = by_hand({"alg": "HS256", "typ": "JWT"}, claims | WRONG[wrong]())
    assert ask(token) == (401, "urn:mutirao:invalid-token")


@pytest.mark.parametrize("name", ["iss", "aud", "exp", "jti", "token_type", "user_id", "sid", "hash_password"])
def test_no_claim_may_be_missing(claims: Claims, name: str) -> None:
    del claims[name]
    assert ask(signed(claims))[0] == 401


def test_each_token_is_good_for_one_thing(pair: dict[str, str]) -> None:
    assert ask(pair["refresh"])[0] == 401
    assert trade(pair["access"]) == 401
    assert ApiSession.objects.filter(ended_at=None).count() == 1


def _rubbish() -> Iterator[str]:
    yield from (".", "..", "a.b", "a.b.c", "a.b.c.d.e", "Zm9v.Zm9v.Zm9v", "=.=.=")
    yield by_hand({"alg": "HS256", "typ": "JWT"}, [1])
    yield by_hand({"alg": "HS256", "typ": "JWT"}, "no JSON")
    yield by_hand([], {})
    yield by_hand({"alg": ["HS256"]}, {})
    yield by_hand({"alg": None}, {})
    yield by_hand({"typ": "JWT"}, {})
    yield by_hand({"alg": "HS256", "crit": ["b64"], "b64": False}, {})
    yield by_hand({"alg": "HS256", "kid": {"a": 1}}, {})
    yield by_hand("[" * 2000, {})
    yield by_hand({"alg": "HS256", "typ": "JWT"}, "[" * 2000)
    yield "a." * 1500
    yield "e" * 4000 + ".e.e"
    yield "e" * 100_000 + ".e.e"


def test_rubbish_is_refused_and_breaks_nothing(member: User) -> None:
    for token in _rubbish():
        assert ask(token)[0] == 401, token[:60]


def test_rubbish_to_refresh_is_refused_too(member: User, settings: Any) -> None:
    settings.RATE_SIGN_IN = ""
    for token in _rubbish():
        assert trade(token) == (401 if len(token) <= 4000 else 400), token[:60]
