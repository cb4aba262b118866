"""Roles as plain data: a name and its permissions."""

from __future__ import annotations

from collections.abc import Sequence

from accounts import audit, rights
from accounts.exceptions import AccountError
from accounts.models import Role
from accounts.roles import change_role, create_role
from foundation.portable import Entry, NotApplicable, names_of, register_kind


class Roles:
    """`permissions` are `room.codename`, as Django names them, in alphabetical order."""

    name = "roles"
    fields: Sequence[str] = ("permissions",)

    def read(self) -> dict[str, Entry]:
        """Every role."""
        roles = Role.objects.order_by("name").prefetch_related("permissions__content_type")
        return {role.name: {"permissions": rights.names_of(role.permissions.all())} for role in roles}

    def apply(self, name: str, entry: Entry) -> None:
        """The permissions become exactly the given ones. Raises NotApplicable for one that does not exist, and when
        nobody would be left who can give rights.
        """
        wanted = names_of(entry, "permissions") if "permissions" in entry else None
        role = Role.objects.filter(name=name).first()
        try:
            if role is None:
                create_role(name=name, permissions=wanted or (), by=None, actor=audit.SYSTEM)
            else:
                change_role(role=role, permissions=wanted, by=None, actor=audit.SYSTEM)
        except AccountError as error:
            raise NotApplicable(str(error)) from error


def register_kinds() -> None:
    """Called when the application starts."""
    register_kind(Roles())
