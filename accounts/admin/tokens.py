"""Refresh tokens."""

from __future__ import annotations

from typing import Any

from django.contrib import admin
from rest_framework_simplejwt.token_blacklist.models import BlacklistedToken, OutstandingToken
from unfold.decorators import display

from foundation.admin import ReadOnlyAdmin

admin.site.unregister(OutstandingToken)
admin.site.unregister(BlacklistedToken)


@admin.register(OutstandingToken)
class OutstandingTokenAdmin(ReadOnlyAdmin):
    """Refresh tokens that were given out; never their text."""

    list_display = ("jti", "user", "created_at", "expires_at")
    list_select_related = ("user",)
    search_fields = ("=jti", "=user__username")
    fields = ("jti", "user", "created_at", "expires_at")
    ordering = ("-id",)


@admin.register(BlacklistedToken)
class BlacklistedTokenAdmin(ReadOnlyAdmin):
    """Refresh tokens that open nothing any more."""

    list_display = ("jti", "blacklisted_at")
    list_select_related = ("token",)
    search_fields = ("=token__jti",)
    fields = ("jti", "blacklisted_at")
    readonly_fields = ("jti",)
    ordering = ("-id",)

    @display(description="jti")
    def jti(self, row: Any) -> str:
        """The token's id."""
        return str(row.token.jti)
