"""What a person sees when something is wrong. The API answers with problem documents instead (foundation.problems).

None of these pages asks the database, the session or a context processor: any of them may be what is broken.
"""

from __future__ import annotations

from django.http import HttpRequest, HttpResponse
from django.template.loader import render_to_string

from foundation import problems


def _page(request: HttpRequest, status: int, template: str = "") -> HttpResponse:
    """The template of the status, with the request's id."""
    context = {"request_id": getattr(request, "request_id", "")}
    text = render_to_string(template or f"{status}.html", context)
    return HttpResponse(text, status=status, headers={"Cache-Control": "no-store"})


def bad_request(request: HttpRequest, exception: Exception) -> HttpResponse:
    """400, or 413 for a body that is too large."""
    answer = problems.bad_request(request, exception)
    return answer if _is_problem(answer) else _page(request, 400)


def permission_denied(request: HttpRequest, exception: Exception) -> HttpResponse:
    """403."""
    if request.path.startswith(problems.API):
        return problems.permission_denied(request, exception)
    problems.tell_of_denial(request)
    return _page(request, 403)


def not_found(request: HttpRequest, exception: Exception) -> HttpResponse:
    """404."""
    if request.path.startswith(problems.API):
        return problems.not_found(request, exception)
    return _page(request, 404)


def too_many(request: HttpRequest) -> HttpResponse:
    """429, from allauth's limits."""
    response = _page(request, 429)
    response.headers["Retry-After"] = "60"
    return response


def server_error(request: HttpRequest) -> HttpResponse:
    """500."""
    if request.path.startswith(problems.API):
        return problems.server_error(request)
    return _page(request, 500)


def csrf_failure(request: HttpRequest, reason: str = "") -> HttpResponse:
    """403 for a form that was sent without the token of this browser. `reason` is Django's, for the log alone."""
    return _page(request, 403, "403_csrf.html")


def _is_problem(response: HttpResponse) -> bool:
    return response.headers["Content-Type"].startswith(problems.CONTENT_TYPE)
