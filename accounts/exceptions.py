"""What this room refuses. The docstring of an exception is its message."""

from __future__ import annotations


class AccountError(Exception):
    """That cannot be done with this account."""

    def __init__(self, message: str | None = None) -> None:
        super().__init__(message or self.__doc__)


class InvalidKey(AccountError):
    """The API key is not valid."""


class NameTaken(AccountError):
    """There is a live key of this name already."""


class KeyEnded(AccountError):
    """A key that has ended, or was rotated before, cannot be rotated."""


class MailTaken(AccountError):
    """Another account has this mail address."""


class UnknownScope(AccountError):
    """There is no such scope."""


class ScopeTooWide(AccountError):
    """A key cannot give more rights, or live longer, than the key it is made with."""
