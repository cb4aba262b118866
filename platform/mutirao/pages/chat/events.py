"""The log of a task for the page: the same stream as the API's, behind a session."""

from __future__ import annotations

from uuid import UUID

from django.http import HttpRequest, HttpResponse, StreamingHttpResponse
from django.http.response import HttpResponseBase
from django.views.decorators.http import require_safe

from accounts.models import User
from agents.api.streams import Stream
from agents.tasks.models import Task
from foundation.threads import in_thread


@require_safe
async def events(request: HttpRequest, pk: UUID) -> HttpResponseBase:
    """Server-sent events of a task of one's own; 403 without a session, 404 for anybody else's.

    One visit to a thread finds out, and gives the thread and its database connection back before the waiting.
    """
    status = await in_thread(_status, request, pk)
    if status != 200:
        return HttpResponse(status=status)
    response = StreamingHttpResponse(
        aiter(Stream(pk, after=_after(request))), content_type="text/event-stream; charset=utf-8"
    )
    # Proxies may neither keep nor collect it.
    response["Cache-Control"] = "no-store"
    response["X-Accel-Buffering"] = "no"
    return response


def _status(request: HttpRequest, pk: UUID) -> int:
    user = request.user
    if not isinstance(user, User):
        return 403
    return 200 if Task.objects.filter(pk=pk, owner=user).exists() else 404


def _after(request: HttpRequest) -> int:
    """The number of the last event that the browser has; 0 for one that makes no sense."""
    given = request.headers.get("Last-Event-ID", "")
    return int(given) if given.isascii() and given.isdigit() and len(given) < 10 else 0
