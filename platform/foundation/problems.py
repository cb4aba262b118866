"""Errors as RFC 9457 problem documents (`application/problem+json`).

Shape: `{"type", "title", "status", "detail", "request_id", "errors"?}`; `type` is a stable code below
`urn:mutirao:`, `errors` maps field names to lists of sentences.
"""

from __future__ import annotations

from collections.abc import Callable
from http import HTTPStatus
from typing import Any

import structlog
from django.core.exceptions import PermissionDenied, RequestDataTooBig
from django.db import InterfaceError, OperationalError
from django.http import Http404, HttpRequest, HttpResponse, JsonResponse
from django.utils.encoding import force_str
from django.utils.translation import gettext as _
from django.utils.translation import gettext_lazy
from django.views import defaults
from rest_framework import exceptions
from rest_framework.response import Response
from rest_framework.views import exception_handler as drf_exception_handler

from foundation.exceptions import NotFoundProblem, Problem

CONTENT_TYPE = "application/problem+json"
API = "/api/"
RETRY_SECONDS = 2

logger = structlog.get_logger(__name__)


def document(*, status: int, detail: str, code: str, request_id: str = "", **extra: Any) -> dict[str, Any]:
    """The problem as plain data."""
    return {
        "type": f"urn:mutirao:{code}",
        "title": HTTPStatus(status).phrase,
        "status": status,
        "detail": detail,
        "request_id": request_id,
        **extra,
    }


_registered: dict[type[Exception], type[Problem]] = {}


def register(error: type[Exception], *, status: int, code: str, retry_after: int | None = None) -> None:
    """Makes an exception of a room (and its subclasses) a problem wherever a view lets it through.

    Its message is shown to the caller, who is asked to wait for `retry_after` seconds when that is given, here or by
    the exception itself; what the exception has as `extra` goes into the document.
    """
    members = {"status_code": status, "default_code": code, "__doc__": error.__doc__}
    if retry_after is not None:
        members["wait"] = retry_after
    _registered[error] = type(f"{error.__name__}Problem", (Problem,), members)


_told_of_denials: list[Callable[[Any], None]] = []


def on_denied(tell: Callable[[Any], None]) -> None:
    """Calls this with every request (Django's or DRF's) that is answered with 403 and a problem. In AppConfig.ready."""
    if tell not in _told_of_denials:
        _told_of_denials.append(tell)


def tell_of_denial(request: Any) -> None:
    """For whoever answers with 403 in another way."""
    for tell in _told_of_denials:
        tell(request)


def exception_handler(error: Exception, context: dict[str, Any]) -> Response | None:
    """DRF's handler, with a problem document as the body; None for what is nobody's problem but ours."""
    plain = _plain(error)
    if plain is None:
        return None
    response = drf_exception_handler(plain, context)
    if response is None:
        return None
    if response.status_code == HTTPStatus.FORBIDDEN:
        tell_of_denial(context["request"])
    code, detail, extra = _told(plain)
    request_id = getattr(context["request"], "request_id", "")
    response.data = document(status=response.status_code, detail=detail, code=code, request_id=request_id, **extra)
    response.content_type = CONTENT_TYPE
    return response


class DatabaseAway(Problem):
    """The database cannot be reached."""

    status_code = 503
    default_code = "unavailable"
    default_detail = gettext_lazy("The database cannot be reached at the moment; try again soon.")
    wait = RETRY_SECONDS  # DRF's name for Retry-After


def _plain(error: Exception) -> exceptions.APIException | None:
    if isinstance(error, Http404):
        return NotFoundProblem()
    if isinstance(error, PermissionDenied):
        return exceptions.PermissionDenied()
    if isinstance(error, exceptions.APIException):
        return error
    if isinstance(error, OperationalError | InterfaceError):
        logger.error("database_away", error=str(error).splitlines()[0] if str(error) else type(error).__name__)
        return DatabaseAway()
    known = next((_registered[kind] for kind in type(error).__mro__ if kind in _registered), None)
    return None if known is None else _problem(known, error)


def _problem(kind: type[Problem], error: Exception) -> Problem:
    problem = kind(str(error), **getattr(error, "extra", {}))
    if (seconds := getattr(error, "retry_after", None)) is not None:
        problem.wait = seconds
    return problem


def _told(error: exceptions.APIException) -> tuple[str, str, dict[str, Any]]:
    """Code, sentence and further members."""
    extra = dict(getattr(error, "extra", {}))
    if isinstance(error, exceptions.ValidationError):
        errors = error.detail if isinstance(error.detail, dict) else {"request": error.detail}
        return "invalid", _("The request is not valid."), extra | {"errors": errors}
    if isinstance(error.detail, dict):
        # simplejwt's errors: {"detail", "code", "messages"}
        code = force_str(error.detail.get("code", error.default_code))
        return code.replace("_", "-"), force_str(error.detail.get("detail", error.default_detail)), extra
    codes = error.get_codes()
    code = codes if isinstance(codes, str) else error.default_code
    return code.replace("_", "-"), force_str(error.detail), extra


def json_problem(request: HttpRequest, *, status: int, detail: str, code: str) -> JsonResponse:
    """A problem from outside DRF."""
    request_id = getattr(request, "request_id", "")
    body = document(status=status, detail=detail, code=code, request_id=request_id)
    return JsonResponse(body, status=status, content_type=CONTENT_TYPE)


def bad_request(request: HttpRequest, exception: Exception) -> HttpResponse:
    """400 from Django itself, an unknown Host for example: a problem for the API, Django's page for people."""
    if isinstance(exception, RequestDataTooBig):
        return json_problem(
            request, status=413, detail=_("The body is larger than this server accepts."), code="body-too-large"
        )
    if request.path.startswith(API):
        return json_problem(request, status=400, detail=_("The request is not acceptable."), code="bad-request")
    return defaults.bad_request(request, exception)


def permission_denied(request: HttpRequest, exception: Exception) -> HttpResponse:
    """403: a problem for the API, Django's page for people."""
    tell_of_denial(request)
    if request.path.startswith(API):
        return json_problem(request, status=403, detail=_("This is not yours to do."), code="permission-denied")
    return defaults.permission_denied(request, exception)


def not_found(request: HttpRequest, exception: Exception) -> HttpResponse:
    """404: a problem for the API, Django's page for people."""
    if request.path.startswith(API):
        return json_problem(request, status=404, detail=_("There is nothing at this address."), code="not-found")
    return defaults.page_not_found(request, exception)


def server_error(request: HttpRequest) -> HttpResponse:
    """500: a problem for the API, Django's page for people."""
    if request.path.startswith(API):
        detail = _("Something went wrong on the server; it has been logged.")
        return json_problem(request, status=500, detail=detail, code="internal")
    return defaults.server_error(request)
