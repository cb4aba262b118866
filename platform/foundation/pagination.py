"""Lists are read by cursor: no page can be skipped or repeated while rows arrive, and nothing is counted."""

from __future__ import annotations

from rest_framework.pagination import CursorPagination as BaseCursorPagination


class CursorPagination(BaseCursorPagination):
    """`?cursor=` and `?page_size=` (at most 200), newest first, time-ordered ids as the tie-breaker."""

    page_size = 50
    page_size_query_param = "page_size"
    max_page_size = 200
    ordering = ("-created_at", "-id")
