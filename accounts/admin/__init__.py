"""People, roles, keys, sessions, limits and the audit log."""

from accounts.admin import keys, limits, people, record, roles, service_accounts, sessions, tokens

__all__ = ["keys", "limits", "people", "record", "roles", "service_accounts", "sessions", "tokens"]
