"""Roles."""

from __future__ import annotations

from typing import Any

from django.contrib import admin
from django.contrib.auth.admin import GroupAdmin as BaseGroupAdmin
from django.contrib.auth.models import Group
from django.http import HttpRequest
from unfold.admin import ModelAdmin

from accounts import audit
from accounts.audit import Actor
from accounts.models import Role

admin.site.unregister(Group)


@admin.register(Role)
class RoleAdmin(BaseGroupAdmin, ModelAdmin):  # type: ignore[misc]
    """Named sets of rights."""

    def save_model(self, request: HttpRequest, obj: Any, form: Any, change: bool) -> None:  # noqa: FBT001
        """With its audit entry."""
        super().save_model(request, obj, form, change)
        audit.record(verb=f"role.{'change' if change else 'create'}", actor=Actor.of(request), subject=obj)

    def delete_model(self, request: HttpRequest, obj: Any) -> None:
        """With its audit entry."""
        audit.record(verb="role.delete", actor=Actor.of(request), subject=obj)
        super().delete_model(request, obj)
