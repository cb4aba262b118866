"""The audit log's seals: how often the chain is sealed, and where seals are kept besides the database."""

from __future__ import annotations

from mutirao.settings.environment import env

AUDIT_SEAL_HOURS: float = env.float("MUTIRAO_AUDIT_SEAL_HOURS", default=1.0)
# Any of `log`, `file:/path/seals.jsonl`, `mail:someone@example.org`.
AUDIT_SEALS: list[str] = env.list("MUTIRAO_AUDIT_SEALS", default=["log"])
