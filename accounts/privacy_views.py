"""One's own data over HTTP."""

from __future__ import annotations

from typing import cast

from django.http import StreamingHttpResponse
from drf_spectacular.types import OpenApiTypes
from drf_spectacular.utils import extend_schema
from rest_framework.request import Request

from accounts import personal_data
from accounts.audit import Actor
from accounts.models import User
from foundation.async_views import AsyncAPIView
from foundation.downloads import download


class MyExport(AsyncAPIView):
    """Everything that is kept of the caller."""

    required_scope = "me:export"

    @extend_schema(
        operation_id="me_export", summary="Download my data", tags=["auth"],
        responses={(200, personal_data.CONTENT_TYPE): OpenApiTypes.BINARY},
    )  # fmt: skip
    def get(self, request: Request) -> StreamingHttpResponse:
        """A zip of JSON lines, one list for each kind of row; no secrets. Once an hour, else 429."""
        user = cast("User", request.user)
        chunks = personal_data.export_person(user=user, actor=Actor.of(request))
        return download(request, chunks, name=personal_data.file_name(user), content_type=personal_data.CONTENT_TYPE)
