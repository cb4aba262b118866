"""What this room refuses. The docstring of an exception is its message."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, Self

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


class UnknownSubject(AccountError):
    """There is nobody of this name for whom limits can be set."""


class InvalidLimit(AccountError):
    """The limit is not acceptable. `errors` says why, by field."""

    def __init__(self, errors: Mapping[str, Sequence[str]]) -> None:
        super().__init__(" ".join(sentence for sentences in errors.values() for sentence in sentences))
        self.errors = errors


class QuotaExceeded(AccountError):
    """A quota has too little left for this. `quota` names it; in `retry_after` seconds there may be more."""

    def __init__(self, message: str | None = None, *, quota: str = "", unit: str = "", retry_after: int = 60) -> None:
        super().__init__(message)
        self.quota = quota
        self.retry_after = retry_after
        self.extra: dict[str, Any] = {"quota": quota, "unit": unit}


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


class NotManageable(AccountError):
    """Only somebody who has all rights of the owner, and may issue keys, can issue one for them."""


class SessionOver(AccountError):
    """The session has ended, or its owner cannot sign in any more."""


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


class UnknownCell(AccountError):
    """There is no such right."""

    @classmethod
    def of(cls, resource: str, verb: str) -> Self:
        """Naming it."""
        return cls(_("There is no right “%(cell)s”.") % {"cell": f"{resource}:{verb}"})


class InvalidRole(AccountError):
    """A role has a name of 1 to 150 characters, without a slash."""


class RoleTaken(AccountError):
    """There is a role of this name already."""


class UnknownRole(AccountError):
    """There is no such role."""

    @classmethod
    def of(cls, name: str) -> Self:
        """Naming it."""
        return cls(_("There is no role “%(name)s”.") % {"name": name})


class UnknownPermission(AccountError):
    """There is no such permission."""

    @classmethod
    def of(cls, name: str) -> Self:
        """Naming it."""
        return cls(_("There is no permission “%(name)s”.") % {"name": name})


class InvalidPerson(AccountError):
    """These data make no account.

    `errors` maps the names of fields to sentences, in the shape of a form's or a serializer's errors.
    """

    def __init__(self, errors: Mapping[str, list[str]]) -> None:
        self.errors = dict(errors)
        super().__init__(" ".join(sentence for sentences in self.errors.values() for sentence in sentences))


class AccountInUse(AccountError):
    """There are tasks of this account: deactivate it, or erase the person."""


class UnknownReceiver(AccountError):
    """There is no such person or role that this could be shared with."""


class NotYoursToShare(AccountError):
    """You may use this, not share it like that."""
