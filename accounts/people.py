"""Accounts of people and programs: made, changed and deleted by those who may do at least as much."""

from __future__ import annotations

from collections.abc import Iterable

from allauth.account.forms import ResetPasswordForm
from django.contrib.auth.models import Group
from django.core.exceptions import ValidationError
from django.db import transaction
from django.db.models import ProtectedError
from django.http import HttpRequest
from django.utils.translation import gettext as _

from accounts import audit
from accounts.audit import Actor
from accounts.exceptions import AccountInUse, InvalidPerson
from accounts.guard import keeping_an_administrator
from accounts.models import PeopleManager, User
from accounts.rights import check_may_manage, rights_changed
from accounts.roles import set_roles
from accounts.services import forget_mail


@transaction.atomic
def create_person(
    *,
    username: str,
    email: str = "",
    is_service: bool = False,
    roles: Iterable[Group] = (),
    by: User | None,
    actor: Actor,
) -> User:
    """Makes an account that nobody can sign in to yet: a person gets a password by mail (`invite`), a service account
    never has one. Raises InvalidPerson, MissingRight for a role that is more than `by` has.
    """
    user = User(username=username, email=PeopleManager.normalize_email(email), is_service=is_service)
    user.set_unusable_password()
    _clean(user)
    if not is_service and not user.email:
        raise InvalidPerson({"email": [_("A person needs a mail address: that is how they get their password.")]})
    user.save(force_insert=True)
    audit.record(verb="user.create", actor=actor, subject=user, changes={"is_service": is_service})
    set_roles(user=user, roles=roles, by=by, actor=actor)
    return user


def change_person(
    *,
    user: User,
    username: str | None = None,
    email: str | None = None,
    is_active: bool | None = None,
    by: User | None,
    actor: Actor,
) -> list[str]:
    """Changes an account; None leaves as it is. Gives the fields that changed. Who is deactivated is refused from the
    next request on. Raises StrongerAccount, InvalidPerson, LastAdministrator.
    """
    given = {
        "username": username,
        "email": None if email is None else PeopleManager.normalize_email(email),
        "is_active": is_active,
    }
    wanted = {name: value for name, value in given.items() if value is not None and getattr(user, name) != value}
    if not wanted:
        return []
    before = {name: getattr(user, name) for name in wanted}
    with keeping_an_administrator():
        check_may_manage(by, user)
        for name, value in wanted.items():
            setattr(user, name, value)
        _clean(user)
        user.save(update_fields=[*wanted])
        audit.record(verb="user.change", actor=actor, subject=user, changes=audit.difference(before, wanted))
        if "email" in wanted:
            forget_mail(user=user)
        rights_changed()
    return [*wanted]


def delete_person(*, user: User, by: User | None, actor: Actor) -> None:
    """Deletes an account with all that is its own. Raises StrongerAccount, AccountInUse, LastAdministrator."""
    with keeping_an_administrator():
        check_may_manage(by, user)
        audit.record(verb="user.delete", actor=actor, subject=user)
        try:
            user.delete()
        except ProtectedError as error:
            raise AccountInUse from error
        rights_changed()


def invite(*, user: User, request: HttpRequest) -> None:
    """Sends a person the link with which they choose their password. A mail that cannot be sent is logged."""
    form = ResetPasswordForm({"email": user.email})
    if form.is_valid():
        form.save(request)


def _clean(user: User) -> None:
    try:
        user.full_clean(exclude=["password"])
    except ValidationError as error:
        raise InvalidPerson(error.message_dict) from error
