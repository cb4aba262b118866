"""Lists are read by cursor: no page can be skipped or repeated while rows arrive, and nothing is counted."""

from __future__ import annotations

from typing import Any

from django.db.models import QuerySet
from django.utils.translation import gettext_lazy as _
from rest_framework.exceptions import NotFound, ValidationError
from rest_framework.filters import OrderingFilter
from rest_framework.pagination import Cursor
from rest_framework.pagination import CursorPagination as BaseCursorPagination
from rest_framework.request import Request
from rest_framework.views import APIView


class CursorPagination(BaseCursorPagination):
    """`?cursor=` and `?page_size=` (at most 200), newest first, time-ordered ids as the tie-breaker."""

    page_size = 50
    page_size_query_param = "page_size"
    max_page_size = 200
    ordering = ("-created_at", "-id")

    def decode_cursor(self, request: Request) -> Cursor | None:
        """A cursor that is not one of ours is the caller's mistake, not a missing page."""
        try:
            return super().decode_cursor(request)
        except NotFound as error:
            raise ValidationError({"cursor": [_("This cursor is not valid.")]}) from error


class TiedOrdering(OrderingFilter):
    """`?ordering=created_at` or `-created_at` among the view's `ordering_fields`; ids break ties the same way."""

    def get_ordering(self, request: Request, queryset: QuerySet[Any], view: APIView) -> tuple[str, ...]:
        """The field that was asked for, or the pagination's own order. Raises ValidationError for an unknown one."""
        asked = request.query_params.get(self.ordering_param, "").strip()
        fields = list(getattr(view, "ordering_fields", ()))
        if not asked:
            default: tuple[str, ...] = getattr(view, "ordering", CursorPagination.ordering)
            return default
        if asked.removeprefix("-") not in fields:
            names = ", ".join(fields)
            raise ValidationError({"ordering": [_("Order by one of: %(names)s.") % {"names": names}]})
        return (asked, "-id" if asked.startswith("-") else "id")
