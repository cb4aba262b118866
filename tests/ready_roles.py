"""The roles that ship, as a thousand tests need them: as they were made once, which takes a tenth of the time."""

from __future__ import annotations

from django.contrib.auth.models import Group

from accounts.roles import ensure_roles

GIVES = Group.permissions.through
# Role → ids of permissions, which stay (see tests.emptying).
_made: dict[str, list[int]] = {}


def ready_roles() -> None:
    """What `ensure_roles` makes. Where there is no role yet, a copy of what it made the first time."""
    if Group.objects.exists():
        ensure_roles()
        return
    if not _made:
        ensure_roles()
        made = Group.objects.prefetch_related("permissions")
        _made.update({role.name: [each.pk for each in role.permissions.all()] for role in made})
        return
    roles = Group.objects.bulk_create(Group(name=name) for name in _made)
    GIVES.objects.bulk_create(
        GIVES(group_id=role.pk, permission_id=permission) for role in roles for permission in _made[role.name]
    )
