"""Keeps people to the page that turns on the second factor, until they have one that they must have."""

from __future__ import annotations

from typing import Any

from django.conf import settings
from django.db import InterfaceError, OperationalError
from django.http import HttpRequest, HttpResponse
from django.http.response import HttpResponseBase
from django.shortcuts import redirect
from django.urls import Resolver404, resolve, reverse
from django.utils.deprecation import MiddlewareMixin
from django_htmx.http import HttpResponseClientRedirect

from accounts import second_factor
from accounts.models import User
from foundation.middleware import PagesOnly

SETUP = "mfa_activate_totp"
# What somebody needs who sets it up, signs out, or has lost the password.
OPEN = {
    SETUP,
    "account_login",
    "account_logout",
    "account_reauthenticate",
    "account_change_password",
    "account_reset_password",
    "account_reset_password_done",
    "account_reset_password_from_key",
    "account_reset_password_from_key_done",
    "admin:logout",
}


class SecondFactorMiddleware(PagesOnly, MiddlewareMixin):
    """For pages and admin, also in sessions that are older than the setting. The API asks when somebody signs in."""

    async def __acall__(self, request: HttpRequest) -> Any:
        """Visits no thread where nobody must have one."""
        if settings.REQUIRE_SECOND_FACTOR == second_factor.NOBODY:
            return await self.get_response(request)  # type: ignore[misc]
        return await super().__acall__(request)

    def process_request(self, request: HttpRequest) -> HttpResponseBase | None:
        """Sends to the page that turns it on."""
        try:
            is_missing = isinstance(request.user, User) and second_factor.is_missing(request.user)
        except (OperationalError, InterfaceError):
            return None  # the view meets the same database, and its error is answered with a page
        if not is_missing:
            return None
        request.second_factor_is_missing = True  # type: ignore[attr-defined]  # the page says why one is there
        return None if _is_open(request) else _to_setup(request)


def _is_open(request: HttpRequest) -> bool:
    if request.path.startswith(settings.STATIC_URL):
        return True
    try:
        return resolve(request.path_info).view_name in OPEN
    except Resolver404:
        return False


def _to_setup(request: HttpRequest) -> HttpResponse:
    if request.headers.get("HX-Request"):
        return HttpResponseClientRedirect(reverse(SETUP))
    return redirect(SETUP)
