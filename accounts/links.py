"""What one link of the audit chain is made of. Nothing here asks the database, so an exported file can be checked too.

A link is the mapping of an event's columns, as rows or as what JSON says of them. What can tell of a person is in it as
digests under a salt: when both field and salt are gone nobody can guess, and the digest still proves the rest.
"""

from __future__ import annotations

import ipaddress
import json
import math
import secrets
from collections.abc import Mapping
from contextlib import suppress
from datetime import UTC, date, datetime
from decimal import Decimal
from hashlib import sha256
from typing import Any

from django.utils.dateparse import parse_datetime

from foundation.encryption import is_signed, sign

Link = Mapping[str, Any]

SHREDDABLE = ("actor_name", "subject_name", "changes", "address", "request_id")
BLANK: dict[str, Any] = {"actor_name": "", "subject_name": "", "changes": {}, "address": None, "request_id": ""}
PROVEN = ("id", "created_at", "verb", "outcome", "actor_id", "subject_type", "subject_id", "digests")
COLUMNS = (*PROVEN, *SHREDDABLE, "position", "hash", "salt", "shredded_by")
SEAL_COLUMNS = ("position", "hash", "reason", "created_at", "signature")
# Beside the digests of fields: that this platform wrote the row, and which events a deed has shredded.
PROOF, SHREDS = "row", "shreds"
EVENT, SEAL, EXPORT = "audit event", "audit seal", "audit export"
SALT_BYTES = 16


def plain(value: Any) -> Any:
    """What JSON and both databases give back as they were given it: no NUL, no lone surrogates, whole floats as
    integers (PostgreSQL keeps 2.0 and 2e3 as numbers, not as Python wrote them); other objects as their text.
    """
    if value is None or isinstance(value, int):
        return value
    if isinstance(value, str):
        if type(value) is str and value.isascii() and "\x00" not in value:
            return value
        return str(value).replace("\x00", "").encode("utf-8", "replace").decode()
    if isinstance(value, float):
        if not math.isfinite(value):
            return str(value)
        return int(Decimal(repr(value))) if value.is_integer() else value
    if isinstance(value, Mapping):
        return {plain(str(key)): plain(inner) for key, inner in value.items()}
    if isinstance(value, list | tuple | set | frozenset):
        return [plain(inner) for inner in value]
    return _text(value)


def _text(value: Any) -> str:
    if isinstance(value, datetime):
        return value.astimezone(UTC).isoformat(timespec="microseconds")
    return value.isoformat() if isinstance(value, date) else str(plain(str(value)))


def canonical(value: Any) -> str:
    """The one way to write a value as JSON."""
    return json.dumps(plain(value), sort_keys=True, separators=(",", ":"))


def new_salt() -> str:
    """16 random bytes in hexadecimal."""
    return secrets.token_hex(SALT_BYTES)


def digests_of(link: Link) -> dict[str, str]:
    """The digest of each field that can be shredded."""
    return {name: _digest(link["salt"], name, link[name]) for name in SHREDDABLE}


def _digest(salt: str, name: str, value: Any) -> str:
    if name == "address" and value:
        value = ipaddress.ip_address(str(value)).compressed
    return sha256(f"{salt}{name}{canonical(value)}".encode()).hexdigest()


def proof_of(link: Link) -> str:
    """The signature that says that this platform wrote the event. Raises ValueError without a key."""
    return sign(_proven(link), purpose=EVENT)


def is_proven(link: Link) -> bool:
    """Whether the event carries the signature of one of the installation's keys."""
    return is_signed(_proven(link), str(link["digests"].get(PROOF, "")), purpose=EVENT)


def _proven(link: Link) -> str:
    digests = {name: value for name, value in link["digests"].items() if name != PROOF}
    return canonical({**_stable(link), "digests": digests})


def hash_of(previous: str, position: int, link: Link) -> str:
    """The hash of an event at this position, after the event with the previous hash (the first: an empty one)."""
    return sha256(canonical([previous, position, _stable(link)]).encode()).hexdigest()


def _stable(link: Link) -> dict[str, Any]:
    return {name: _moment(link[name]) if name == "created_at" else link[name] for name in PROVEN}


def _moment(value: Any) -> Any:
    """A moment of a file as a row has it; what is none stays, and fits no hash."""
    with suppress(ValueError):
        return parse_datetime(value) or value if isinstance(value, str) else value
    return value


def seal_text(seal: Link) -> str:
    """What a seal's signature covers."""
    return canonical([seal["reason"], seal["position"], seal["hash"], _moment(seal["created_at"])])


def ranges_of(positions: list[int]) -> list[list[int]]:
    """Positions in ascending order as first and last of each unbroken run."""
    runs: list[list[int]] = []
    for position in positions:
        if runs and runs[-1][1] == position - 1:
            runs[-1][1] = position
        else:
            runs.append([position, position])
    return runs


def is_within(position: int, ranges: Any) -> bool:
    """Whether the position is in one of the runs; what is no list of runs has none."""
    try:
        return any(first <= position <= last for first, last in ranges)
    except (TypeError, ValueError):
        return False
