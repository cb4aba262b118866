"""Errors as RFC 9457 problem documents (`application/problem+json`).

Shape: `{"type", "title", "status", "detail", "request_id", "errors"?}`; `type` is a stable code below
`urn:mutirao:`, `errors` maps field names to lists of sentences.
"""

from __future__ import annotations

from http import HTTPStatus
from typing import Any

import structlog
from django.core.exceptions import PermissionDenied
from django.http import Http404, HttpRequest, HttpResponse, JsonResponse
from django.views import defaults
from rest_framework import exceptions
from rest_framework.response import Response
from rest_framework.views import exception_handler as drf_exception_handler

CONTENT_TYPE = "application/problem+json"
logger = structlog.get_logger(__name__)


class Problem(exceptions.APIException):
    """The request could not be carried out."""

    status_code = 400
    default_code = "problem"

    def __init__(self, detail: str | None = None, **extra: Any) -> None:
        super().__init__(detail or type(self).__doc__, self.default_code)
        self.extra = extra


def document(
    *, status: int, detail: str, code: str, request_id: str = "", **extra: Any
) -> dict[str, Any]:
    """The problem as plain data."""
    return {
        "type": f"urn:mutirao:{code}",
        "title": HTTPStatus(status).phrase,
        "status": status,
        "detail": detail,
        "request_id": request_id,
        **extra,
    }


def _plain(error: Exception) -> exceptions.APIException | None:
    if isinstance(error, Http404):
        return exceptions.NotFound()
    if isinstance(error, PermissionDenied):
        return exceptions.PermissionDenied()
    return error if isinstance(error, exceptions.APIException) else None


def exception_handler(error: Exception, context: dict[str, Any]) -> Response | None:
    """DRF's handler, with a problem document as the body."""
    response = drf_exception_handler(error, context)
    plain = _plain(error)
    if response is None or plain is None:
        return None
    extra = dict(getattr(plain, "extra", {}))
    if isinstance(plain, exceptions.ValidationError):
        code, detail = "invalid", "The request is not valid."
        extra["errors"] = plain.detail if isinstance(plain.detail, dict) else {"request": plain.detail}
    else:
        code, detail = str(plain.get_codes()), str(plain.detail)
    request_id = getattr(context["request"], "request_id", "")
    response.data = document(
        status=response.status_code, detail=detail, code=code.replace("_", "-"), request_id=request_id, **extra
    )
    response.content_type = CONTENT_TYPE
    return response


def json_problem(request: HttpRequest, *, status: int, detail: str, code: str) -> JsonResponse:
    """A problem from outside DRF."""
    request_id = getattr(request, "request_id", "")
    body = document(status=status, detail=detail, code=code, request_id=request_id)
    return JsonResponse(body, status=status, content_type=CONTENT_TYPE)


def not_found(request: HttpRequest, exception: Exception) -> HttpResponse:
    """404: a problem for the API, Django's page for people."""
    if request.path.startswith("/api/"):
        return json_problem(request, status=404, detail="There is nothing at this address.", code="not-found")
    return defaults.page_not_found(request, exception)


def server_error(request: HttpRequest) -> HttpResponse:
    """500: a problem for the API, Django's page for people."""
    if request.path.startswith("/api/"):
        return json_problem(
            request, status=500, detail="Something went wrong on the server; it has been logged.", code="internal"
        )
    return defaults.server_error(request)
