"""Finds a person by name or mail, and asks the password hasher exactly once, whatever is found."""

from __future__ import annotations

from typing import Any

from allauth.account.auth_backends import AuthenticationBackend
from django.contrib.auth.base_user import AbstractBaseUser
from django.db.models import Q
from django.http import HttpRequest

from accounts.models import User


def find_person(login: str) -> User | None:
    """Whoever has this name or, if nobody has it, this mail address; capitals do not matter.

    Names go first: they are given by administrators, and a mail address is what people say of themselves.
    """
    found = [*User.objects.filter(Q(username__iexact=login) | Q(email=User.objects.normalize_email(login)))]
    exact = [user for user in found if user.username == login]
    # What the database takes for equal is not always so, and two names may differ in capitals alone.
    alike = exact or [user for user in found if user.username.lower() == login.lower()]
    if alike:
        return alike[0] if len(alike) == 1 else None
    mail = User.objects.normalize_email(login)
    return next((user for user in found if mail and user.email == mail), None)


class PasswordBackend(AuthenticationBackend):  # type: ignore[misc]  # allauth has no types
    """allauth's, which hashes twice for a known mail address and tells inactive people that their password is right."""

    def authenticate(self, request: HttpRequest | None, **credentials: Any) -> AbstractBaseUser | None:
        """The person, or None: unknown, wrong, inactive, erased, a service account."""
        login = credentials.get("username") or credentials.get("email")
        password = credentials.get("password")
        if not login or not password:
            return None
        # Somebody without a usable password costs the same: Django hashes something then.
        user = find_person(str(login).strip()) or User()
        is_right = user.check_password(str(password))
        return user if is_right and self.user_can_authenticate(user) else None

    def user_can_authenticate(self, user: AbstractBaseUser) -> bool:
        """Also asked for every page: whose account was closed a moment ago is signed out."""
        return isinstance(user, User) and user.may_sign_in
