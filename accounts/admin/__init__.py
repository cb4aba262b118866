"""People, roles, keys and the audit log."""

from accounts.admin import keys, people, record, roles, tokens

__all__ = ["keys", "people", "record", "roles", "tokens"]
