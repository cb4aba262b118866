"""Quotas and rate limits in the admin: who is bound by what, and how much of it is spent."""

from __future__ import annotations

from typing import Any

from django.contrib import admin
from django.db.models import Model, QuerySet
from django.forms import ModelForm
from django.http import HttpRequest
from django.template.loader import render_to_string
from django.utils.translation import gettext as _
from django.utils.translation import gettext_lazy
from unfold.decorators import display

from accounts import limits
from accounts.audit import Actor
from accounts.limit_forms import QuotaForm, RateLimitForm
from accounts.models import Quota, RateLimit
from accounts.quotas import plain
from accounts.standing import Standing, standings_of
from accounts.subjects import name_of, names_of
from foundation.admin import BaseAdmin

SUBJECT = ("whose", "whose_name")
NOTHING = "—"


class LimitAdmin(BaseAdmin):
    """What both share: what a limit is of stays; another subject is another limit."""

    list_select_related = ("user", "role", "api_key")
    # What of a row can be changed, and what is shown beside it.
    changeable: tuple[str, ...] = ()
    shown: tuple[str, ...] = ()

    def get_fields(self, request: HttpRequest, obj: Model | None = None) -> tuple[str, ...]:
        """Of a new one, whose it is; of an old one, how it stands."""
        new: list[str] = [*self.form.base_fields]
        first = [name for name in new if name in SUBJECT]
        rest = [name for name in new if name not in SUBJECT]
        return self.shown if obj else tuple(first + rest)

    def get_readonly_fields(self, request: HttpRequest, obj: Model | None = None) -> tuple[str, ...]:
        """All but what can be changed."""
        return tuple(name for name in self.shown if name not in self.changeable) if obj else ()

    def get_form(self, request: HttpRequest, obj: Any = None, change: bool = False, **kwargs: Any) -> Any:  # noqa: FBT001, FBT002 (Django's)
        """Without a subject to choose for a row that has one."""
        if obj is not None:
            kwargs["form"] = ModelForm
        return super().get_form(request, obj, change=change, **kwargs)

    @display(description=gettext_lazy("for whom"))
    def subject(self, row: Any) -> str:
        """As files and the API name it."""
        return getattr(row, "subject_text", None) or name_of(row)

    def get_changelist_instance(self, request: HttpRequest) -> Any:
        """With what every row says of itself, asked for once."""
        changes = super().get_changelist_instance(request)
        changes.result_list = self.complete([*changes.result_list], request)
        return changes

    def complete(self, rows: list[Any], request: HttpRequest) -> list[Any]:
        """The rows of a page with the names of their subjects."""
        for row, name in zip(rows, names_of(rows), strict=True):
            row.subject_text = name
        return rows

    def delete_queryset(self, request: HttpRequest, queryset: QuerySet[Any]) -> None:
        """One by one, each with its audit."""
        for row in queryset:
            self.delete_model(request, row)


@admin.register(Quota)
class QuotaAdmin(LimitAdmin):
    """What may be spent in a period."""

    form = QuotaForm
    list_display = ("subject", "unit", "period", "amount_plain", "each_member", "taken", "is_enabled")
    list_filter = ("unit", "period", "is_enabled")
    search_fields = ("=user__username", "=role__name", "=api_key__prefix")
    ordering = ("-created_at", "-id")
    list_before_template = "admin/accounts/quotas_explained.html"
    change_form_before_template = "admin/accounts/quotas_explained.html"
    changeable = ("amount", "reserve", "is_enabled")
    shown = ("subject", "unit", "period", "each_member", "taken", "amount", "reserve", "is_enabled", "created_at")

    def get_changeform_initial_data(self, request: HttpRequest) -> dict[str, str]:
        """What is wanted most: a budget."""
        return {"unit": Quota.Unit.COST, "period": Quota.Period.MONTH}

    def complete(self, rows: list[Any], request: HttpRequest) -> list[Any]:
        """Also with how they stand."""
        for row, standing in zip(rows, standings_of(rows, user=request.user), strict=True):  # type: ignore[arg-type]
            row.subject_text, row.standing = standing.subject, standing
        return rows

    def get_object(self, request: HttpRequest, object_id: str, from_field: str | None = None) -> Any:
        """The same for one."""
        row = super().get_object(request, object_id, from_field)
        return self.complete([row], request)[0] if row is not None else None

    @display(description=gettext_lazy("amount"))
    def amount_plain(self, quota: Quota) -> str:
        """Without zeros at its end."""
        return plain(quota.amount)

    @display(description=gettext_lazy("taken now"))
    def taken(self, quota: Quota) -> str:
        """What is spent and reserved in this period, as a bar."""
        if quota.each_member:
            return _("each person for themselves")
        standing: Standing | None = getattr(quota, "standing", None)
        if standing is None:
            return NOTHING
        return render_to_string("admin/accounts/taken.html", {"standing": standing})

    def save_model(self, request: HttpRequest, obj: Quota, form: Any, change: bool) -> None:  # noqa: FBT001
        """Through the service, with its audit."""
        limits.save_quota(quota=obj, actor=Actor.of(request))

    def delete_model(self, request: HttpRequest, obj: Quota) -> None:
        """The same."""
        limits.delete_quota(quota=obj, actor=Actor.of(request))


@admin.register(RateLimit)
class RateLimitAdmin(LimitAdmin):
    """How many requests in a time."""

    form = RateLimitForm
    list_display = ("subject", "rate", "created_at")
    search_fields = ("=user__username", "=role__name", "=api_key__prefix")
    ordering = ("-created_at", "-id")
    list_before_template = "admin/accounts/rates_explained.html"
    change_form_before_template = "admin/accounts/rates_explained.html"
    changeable = ("rate",)
    shown = ("subject", "rate", "created_at")

    def save_model(self, request: HttpRequest, obj: RateLimit, form: Any, change: bool) -> None:  # noqa: FBT001
        """Through the service, with its audit."""
        limits.save_rate_limit(limit=obj, actor=Actor.of(request))

    def delete_model(self, request: HttpRequest, obj: RateLimit) -> None:
        """The same."""
        limits.delete_rate_limit(limit=obj, actor=Actor.of(request))
