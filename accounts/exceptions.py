"""What this room refuses. The docstring of an exception is its message."""

from __future__ import annotations

from typing import Any


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


class KeyRefused(InvalidKey):
    """This is one of our keys, and it opens nothing: revoked, expired, its owner cannot come in, or not from here."""

    def __init__(self, key: Any, reason: str) -> None:
        super().__init__()
        self.key = key
        self.reason = reason


class AgentNotUsable(AccountError):
    """A key can be narrowed only to agents that its owner may use."""


class InvalidAddress(AccountError):
    """This is no address and no network."""


class InvalidLimit(AccountError):
    """This is no limit."""


class NotManageable(AccountError):
    """Only somebody who has all rights of the owner, and may issue keys, can issue one for them."""


class InvalidServiceAccount(AccountError):
    """A service account cannot be made of this."""


class SessionOver(AccountError):
    """The session has ended, or its owner cannot sign in any more."""
