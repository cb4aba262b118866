"""What the admin pages of all rooms have in common."""

from __future__ import annotations

import uuid
from collections.abc import Iterable
from typing import Any

from django import forms
from django.contrib import admin, messages
from django.contrib.admin import helpers
from django.db.models import Model, QuerySet
from django.http import HttpRequest, HttpResponse
from django.template.response import TemplateResponse
from django.utils.translation import gettext as _
from unfold.admin import ModelAdmin
from unfold.paginator import InfinitePaginator


class BaseAdmin(ModelAdmin):  # type: ignore[misc]  # unfold has no types
    """Lists without counting, which on a table of millions takes longer than the page."""

    paginator = InfinitePaginator
    show_full_result_count = False
    show_facets = admin.ShowFacets.NEVER
    list_per_page = 50
    list_filter_submit = False
    # Without a count nobody can be told how many “all” are, and a form has room for DATA_UPLOAD_MAX_NUMBER_FIELDS.
    list_disable_select_all = True

    def response_action(self, request: HttpRequest, queryset: QuerySet[Any]) -> HttpResponse | None:
        """For rows that were chosen one by one: a form that was made by hand may ask for all of them."""
        if forms.BooleanField(required=False).clean(request.POST.get("select_across", "0")):
            self.message_user(
                request, _("Choose the rows themselves: an action is not carried out on all pages at once."),
                messages.ERROR,
            )  # fmt: skip
            return None
        answer: HttpResponse | None = super().response_action(request, queryset)
        return answer

    def lookup_allowed(self, lookup: str, value: str, request: HttpRequest | None = None) -> bool:
        """Only by what the list shows or offers to filter by: a digest must not be guessed letter by letter in the
        address. Django itself allows every column of the model.
        """
        name = lookup.partition("__")[0]
        columns = {field.name for field in self.opts.get_fields()} | {"pk"}
        shown = (*self.list_filter, *self.list_display, *self.search_fields, "id", "pk")
        offered = {_name_of(each) for each in shown}
        return bool(super().lookup_allowed(lookup, value, request)) and (name in offered or name not in columns)


class ReadOnlyAdmin(BaseAdmin):
    """Rows that only the platform writes. Who may view them sees every field, and can change none."""

    def has_add_permission(self, request: HttpRequest) -> bool:
        """Never."""
        return False

    def has_change_permission(self, request: HttpRequest, obj: Model | None = None) -> bool:
        """Never."""
        return False

    def has_delete_permission(self, request: HttpRequest, obj: Model | None = None) -> bool:
        """Never."""
        return False


def _name_of(filter_or_field: Any) -> str:
    """The column of a filter or of a search field, or the name that a filter of our own has in the address."""
    name = filter_or_field[0] if isinstance(filter_or_field, list | tuple) else filter_or_field
    if not isinstance(name, str):
        return str(getattr(name, "parameter_name", ""))
    return name.lstrip("^=@").partition("__")[0]


def page(model_admin: Any, request: HttpRequest, template: str, **context: Any) -> TemplateResponse:
    """A page of the admin with its frame."""
    frame = {**model_admin.admin_site.each_context(request), "opts": model_admin.opts, **context}
    request.current_app = model_admin.admin_site.name
    return TemplateResponse(request, template, frame)


def confirmation(
    model_admin: Any,
    request: HttpRequest,
    *,
    action: str,
    title: str,
    sentence: str,
    rows: QuerySet[Any] | Iterable[Model],
) -> HttpResponse:
    """Asks before an action is carried out; the answer comes back to the same action with `confirmed`."""
    return page(
        model_admin, request, "admin/mutirao/confirm.html",
        title=title, sentence=sentence, rows=list(rows), action=action,
        checkbox=helpers.ACTION_CHECKBOX_NAME, back=request.get_full_path(),
    )  # fmt: skip


def uuid_of(text: str) -> uuid.UUID | None:
    """The id that somebody looks for; None when the text is none."""
    try:
        return uuid.UUID(text)
    except ValueError:
        return None


def is_confirmed(request: HttpRequest) -> bool:
    """Whether the person has said yes."""
    return request.method == "POST" and "confirmed" in request.POST


__all__ = ["BaseAdmin", "ReadOnlyAdmin", "admin", "confirmation", "is_confirmed", "page", "uuid_of"]
