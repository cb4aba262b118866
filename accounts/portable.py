"""Roles as plain data: a name and its permissions."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from django.contrib.auth.models import Permission
from django.utils.translation import gettext as _

from accounts import audit
from accounts.models import Role
from foundation.portable import Entry, NotApplicable, names_of, register_kind

LONGEST_NAME = 150


class Roles:
    """`permissions` are `room.codename`, as Django names them, in alphabetical order."""

    name = "roles"
    fields: Sequence[str] = ("permissions",)

    def read(self) -> dict[str, Entry]:
        """Every role."""
        roles = Role.objects.order_by("name").prefetch_related("permissions__content_type")
        return {role.name: {"permissions": _names(role.permissions.all())} for role in roles}

    def apply(self, name: str, entry: Entry) -> None:
        """The permissions become exactly the given ones. Raises NotApplicable for one that does not exist."""
        if len(name) > LONGEST_NAME:
            raise NotApplicable(_("The name is longer than %(most)d characters.") % {"most": LONGEST_NAME})
        role, is_new = Role.objects.get_or_create(name=name)
        if is_new:
            audit.record(verb="role.create", actor=audit.SYSTEM, subject=role)
        if "permissions" not in entry:
            return
        wanted = _find(names_of(entry, "permissions"))
        before, after = _names(role.permissions.select_related("content_type")), _names(wanted)
        if before != after:
            role.permissions.set(wanted)
            changes = {"permissions": {"before": before, "after": after}}
            audit.record(verb="role.change", actor=audit.SYSTEM, subject=role, changes=changes)


def _names(permissions: Iterable[Permission]) -> list[str]:
    return sorted(f"{permission.content_type.app_label}.{permission.codename}" for permission in permissions)


def _find(names: Iterable[str]) -> list[Permission]:
    every = Permission.objects.select_related("content_type")
    known = {f"{permission.content_type.app_label}.{permission.codename}": permission for permission in every}
    unknown = sorted(set(names) - known.keys())
    if unknown:
        raise NotApplicable(_("There is no permission “%(name)s”.") % {"name": unknown[0]})
    return [known[name] for name in sorted(set(names))]


def register_kinds() -> None:
    """Called when the application starts."""
    register_kind(Roles())
