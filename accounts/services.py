"""Roles, first people, and what people change about themselves. Keys are in `issuing`."""

from __future__ import annotations

import secrets
from collections.abc import Iterable, Mapping

from allauth.account.models import EmailAddress
from allauth.mfa.models import Authenticator
from django.contrib.auth.models import Permission
from django.db import IntegrityError, transaction

from accounts import audit
from accounts.audit import SYSTEM, Actor
from accounts.exceptions import MailTaken
from accounts.issuing import IssuedKey, authenticate_key, issue_api_key, revoke_api_key, rotate_api_key
from accounts.models import Role, User

__all__ = [
    "ADMINISTRATOR", "ADMINISTRATOR_PERMISSIONS", "ADMIN_NAME", "MEMBER", "OPERATOR", "OPERATOR_PERMISSIONS", "ROLES",
    "IssuedKey", "authenticate_key", "change_profile", "ensure_admin", "ensure_roles", "forget_mail", "issue_api_key",
    "reset_second_factor", "revoke_api_key", "rotate_api_key",
]  # fmt: skip

ADMIN_NAME = "admin"

ADMINISTRATOR, OPERATOR, MEMBER = "administrator", "operator", "member"

# Rooms above are named by string: this one does not know them. A star stands for every model of the room.
OPERATOR_PERMISSIONS = (
    "agents_definitions.use_agent",
    "agents_tasks.operate_task",
    "agents_schedules.operate_schedule",
    "agents_definitions.view_*",
    "agents_tasks.view_*",
    "agents_tasks.add_queue",
    "agents_tasks.change_queue",
    "agents_tasks.delete_queue",
    "agents_tasks.add_concurrencylimit",
    "agents_tasks.change_concurrencylimit",
    "agents_tasks.delete_concurrencylimit",
    "agents_schedules.view_*",
    "agents_webhooks.view_*",
    "agents_webhooks.replay_delivery",
    "agents_memory.view_*",
    "agents_tools.view_*",
    "agents_tools.decide_approval",
    "agents_gateway.view_*",
    "agents_worker.view_*",
    "telemetry.view_*",
    "django_celery_results.view_taskresult",
)
ADMINISTRATOR_PERMISSIONS = (
    *OPERATOR_PERMISSIONS,
    "agents_definitions.add_agent",
    "agents_definitions.change_agent",
    "agents_schedules.add_schedule",
    "agents_schedules.change_schedule",
    "agents_schedules.delete_schedule",
    "accounts.view_*",
    "accounts.add_user",
    "accounts.change_user",
    "accounts.add_role",
    "accounts.change_role",
    "accounts.add_apikey",
    "accounts.change_apikey",
    "accounts.change_apisession",
)
ROLES = {
    ADMINISTRATOR: ADMINISTRATOR_PERMISSIONS,
    OPERATOR: OPERATOR_PERMISSIONS,
    MEMBER: ("agents_definitions.use_agent",),
}


@transaction.atomic
def ensure_roles() -> None:
    """Makes the roles that ship, when missing, with their permissions. What people changed in them stays."""
    for name, wanted in ROLES.items():
        role, is_new = Role.objects.get_or_create(name=name)
        if is_new:
            role.permissions.set(_permissions(wanted))


def _permissions(names: Iterable[str]) -> list[Permission]:
    found: list[Permission] = []
    for name in names:
        label, _, codename = name.partition(".")
        of_room = Permission.objects.filter(content_type__app_label=label)
        found += (
            of_room.filter(codename__startswith=codename[:-1])
            if codename.endswith("*")
            else of_room.filter(codename=codename)
        )
    return found


@transaction.atomic
def change_profile(*, user: User, values: Mapping[str, str], actor: Actor) -> list[str]:
    """Changes what a person says about themselves: name, mail, language, appearance. Gives the fields that changed.

    Raises MailTaken.
    """
    before = {name: getattr(user, name) for name in values}
    changed = [name for name, value in values.items() if before[name] != value]
    for name in changed:
        setattr(user, name, values[name])
    if changed:
        try:
            with transaction.atomic():
                user.save(update_fields=changed)
        except IntegrityError as error:
            raise MailTaken from error
        audit.record(verb="user.change", actor=actor, subject=user, changes=audit.difference(before, values))
    if "email" in changed:
        forget_mail(user=user)
    return changed


def forget_mail(*, user: User) -> None:
    """Drops allauth's copies of a mail address: what stands in the user's row alone opens the door."""
    EmailAddress.objects.filter(user=user).delete()


@transaction.atomic
def reset_second_factor(*, user: User, actor: Actor) -> bool:
    """Takes off the second factor with its recovery codes, for somebody who has lost both; False if there is none."""
    found = Authenticator.objects.filter(user=user)
    if not found.exists():
        return False
    found.delete()
    audit.record(verb="auth.second_factor_reset", actor=actor, subject=user)
    return True


@transaction.atomic
def ensure_admin(password: str | None = None) -> str | None:
    """Makes the user `admin` when there is none, and gives its password (a random one, if none is given); else None."""
    if User.objects.filter(username=ADMIN_NAME).exists():
        return None
    chosen = password or secrets.token_urlsafe(12)
    admin = User.objects.create_superuser(username=ADMIN_NAME, password=chosen)
    admin.groups.set(Role.objects.filter(name=ADMINISTRATOR))
    audit.record(verb="user.create", actor=SYSTEM, subject=admin)
    return chosen
