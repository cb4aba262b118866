"""People, roles, keys, sessions and the audit log."""

from accounts.admin import keys, people, service_accounts, sessions

__all__ = ["keys", "people", "service_accounts", "sessions"]
