"""Secrets at rest."""

from __future__ import annotations

from typing import Any

import pytest
from cryptography.fernet import Fernet
from django.core.checks import run_checks
from django.db import connection

from foundation.encryption import CannotDecrypt, EncryptedTextField, decrypt, encrypt

OLD, NEW = Fernet.generate_key().decode(), Fernet.generate_key().decode()


def test_the_first_key_encrypts_and_all_decrypt(settings: Any) -> None:
    settings.ENCRYPTION_KEYS = [OLD]
    sealed = encrypt("segredo")
    assert "segredo" not in sealed
    settings.ENCRYPTION_KEYS = [NEW, OLD]
    assert decrypt(sealed) == "segredo"
    sealed_anew = encrypt("segredo")
    settings.ENCRYPTION_KEYS = [NEW]
    assert decrypt(sealed_anew) == "segredo"
    with pytest.raises(CannotDecrypt, match="None of MUTIRAO_ENCRYPTION_KEYS"):
        decrypt(sealed)


def test_a_field_is_sealed_in_the_database_and_open_in_python() -> None:
    field = EncryptedTextField()
    stored = field.get_prep_value("segredo")
    assert "segredo" not in stored
    assert field.from_db_value(stored, None, connection) == "segredo"
    assert [field.get_prep_value(empty) for empty in ("", None)] == ["", None]
    assert [field.from_db_value(empty, None, connection) for empty in ("", None)] == ["", None]


@pytest.mark.parametrize(("keys", "found"), [([], "mutirao.E008"), (["short"], "mutirao.E009"), ([NEW, OLD], None)])
def test_a_server_without_a_proper_key_does_not_start(settings: Any, keys: list[str], found: str | None) -> None:
    settings.ENCRYPTION_KEYS = keys
    ids = {message.id for message in run_checks(tags=["environment"])} & {"mutirao.E008", "mutirao.E009"}
    assert ids == ({found} if found else set())
