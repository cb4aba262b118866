"""Secrets by file."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from cryptography.fernet import Fernet

from mutirao.secret_files import SecretFileError, read_secret_files, with_password
from tests.site import manage

pytestmark = pytest.mark.embedded


def _read(environ: dict[str, str]) -> dict[str, str]:
    read_secret_files(environ)
    return environ


@pytest.mark.parametrize(
    "name", ["SECRET_KEY", "MUTIRAO_ENCRYPTION_KEYS", "DATABASE_URL", "OPENAI_API_KEY", "SENTRY_DSN", "REDIS_PASSWORD"]
)
def test_a_named_file_gives_the_variable(tmp_path: Path, name: str) -> None:
    file = tmp_path / "secret"
    file.write_text("hush\n")
    assert _read({f"{name}_FILE": str(file)})[name] == "hush"


def test_files_that_other_programs_read_are_left_alone() -> None:
    others = {"SSL_CERT_FILE": "/nowhere", "SSL_KEY_FILE": "/nowhere", "AWS_WEB_IDENTITY_TOKEN_FILE": "/nowhere"}
    assert _read(dict(others)) == others


def test_an_empty_file_sets_nothing(tmp_path: Path) -> None:
    file = tmp_path / "secret"
    file.touch()
    assert "OPENAI_API_KEY" not in _read({"OPENAI_API_KEY_FILE": str(file)})


def test_a_missing_file_and_a_second_opinion_are_named(tmp_path: Path) -> None:
    with pytest.raises(SecretFileError, match=r"SECRET_KEY_FILE names .* which cannot be read: No such file"):
        _read({"SECRET_KEY_FILE": str(tmp_path / "none")})
    file = tmp_path / "secret"
    file.write_text("hush")
    with pytest.raises(SecretFileError, match="SECRET_KEY and SECRET_KEY_FILE say different things"):
        _read({"SECRET_KEY_FILE": str(file), "SECRET_KEY": "loud"})
    assert _read({"SECRET_KEY_FILE": str(file), "SECRET_KEY": "hush"})["SECRET_KEY"] == "hush"


@pytest.mark.parametrize(
    ("url", "whole"),
    [
        ("postgres://mutirao@db:5432/x", "postgres://mutirao:p%2Fw@db:5432/x"),
        ("redis://redis:6379/0", "redis://:p%2Fw@redis:6379/0"),
        ("redis://:own@redis:6379/0", "redis://:own@redis:6379/0"),
        ("sqlite:////var/x.sqlite3", "sqlite:////var/x.sqlite3"),
        ("", ""),
    ],
)
def test_a_password_goes_into_an_address_that_has_none(url: str, whole: str) -> None:
    assert with_password(url, "p/w") == whole
    assert with_password(url, "") == url


def test_settings_take_secrets_from_files(tmp_path: Path) -> None:
    for name in ("one", "two"):
        (tmp_path / name).write_text(name * 20)
    (tmp_path / "seal").write_text(Fernet.generate_key().decode())
    files = {"SECRET_KEY_FILE": "one", "JWT_SIGNING_KEY_FILE": "two", "MUTIRAO_ENCRYPTION_KEYS_FILE": "seal"}
    given: dict[str, Any] = {name: str(tmp_path / file) for name, file in files.items()}
    checked = manage(tmp_path, "check", REDIS_URL="redis://127.0.0.1", **given)
    assert checked.returncode == 0, checked.stderr
