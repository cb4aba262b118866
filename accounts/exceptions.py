"""What this room refuses. The docstring of an exception is its message."""

from __future__ import annotations

from typing import Self

from django.utils.translation import gettext as _


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


class LastAdministrator(AccountError):
    """Somebody has to be able to give rights: this would leave no administrator."""


class MissingRight(AccountError):
    """Nobody can give, or take from others, a right that they do not have themselves."""

    @classmethod
    def of(cls, permission: str) -> Self:
        """Naming it."""
        return cls(
            _("You cannot give or take “%(permission)s”: you do not have it yourself.") % {"permission": permission}
        )


class StrongerAccount(AccountError):
    """This account has rights that you do not have, so it is not yours to manage."""
