"""What this room refuses, and how HTTP says it."""

from __future__ import annotations

from accounts import exceptions
from foundation import problems

PROBLEMS = (
    (exceptions.LastAdministrator, 409, "last-administrator"),
    (exceptions.MissingRight, 403, "missing-right"),
    (exceptions.StrongerAccount, 403, "stronger-account"),
    (exceptions.NotYoursToShare, 403, "not-yours-to-share"),
    (exceptions.UnknownCell, 400, "unknown-right"),
    (exceptions.UnknownRole, 400, "unknown-role"),
    (exceptions.UnknownPermission, 400, "unknown-permission"),
    (exceptions.InvalidRole, 400, "invalid-role"),
    (exceptions.RoleTaken, 409, "role-taken"),
    (exceptions.AccountInUse, 409, "account-in-use"),
)


def register() -> None:
    """Tells the exception handler."""
    for error, status, code in PROBLEMS:
        problems.register(error, status=status, code=code)
