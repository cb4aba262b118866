"""Views that may wait: DRF's own authentication, permissions and throttles in one visit to a thread, then the event
loop alone, with no database connection and no thread held."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from typing import Any

from django.http import HttpRequest, HttpResponse
from django.http.response import HttpResponseBase
from rest_framework.exceptions import AuthenticationFailed
from rest_framework.generics import GenericAPIView
from rest_framework.request import Request
from rest_framework.response import Response
from rest_framework.views import APIView

from foundation.exceptions import NotFoundProblem
from foundation.threads import in_thread


class Later(HttpResponseBase):
    """What a handler gives when the answer needs waiting: `answer` is awaited on the event loop."""

    def __init__(self, answer: Callable[[], Awaitable[HttpResponseBase]]) -> None:
        super().__init__()
        self.answer = answer


class AsyncAPIView(APIView):
    """A DRF view whose handlers (`get`, `post`, …) are plain functions run in a thread.

    A handler returns a response, or `Later(coroutine function)` whose answer is awaited after the thread and its
    database connection have been given back. Errors of both parts become problems.
    """

    view_is_async = True

    async def dispatch(self, request: HttpRequest, *args: Any, **kwargs: Any) -> HttpResponseBase:  # type: ignore[override]
        """The whole life of a request in this view."""
        response = await in_thread(self._dispatch_in_thread, request, *args, **kwargs)
        if not isinstance(response, Later):
            return response
        try:
            answered = await response.answer()
        except Exception as error:
            answered = self.handle_exception(error)
        return _rendered(self.finalize_response(self.request, answered, *args, **kwargs))

    def perform_authentication(self, request: Request) -> None:
        """Finds out who asks, and counts them before anything is refused: DRF itself would count only whom it lets in,
        so that wrong credentials could be tried without end.
        """
        try:
            super().perform_authentication(request)
        except AuthenticationFailed:
            super().check_throttles(request)
            raise
        super().check_throttles(request)

    def check_throttles(self, request: Request) -> None:
        """Done already: a request is counted once."""

    def _dispatch_in_thread(self, request: HttpRequest, *args: Any, **kwargs: Any) -> HttpResponseBase:
        return _rendered(super().dispatch(request, *args, **kwargs))

    def initial(self, request: Request, *args: Any, **kwargs: Any) -> None:
        """No name has a NUL in it, and PostgreSQL does not even look for one. Raises NotFoundProblem."""
        super().initial(request, *args, **kwargs)
        if any("\x00" in str(value) for value in kwargs.values()):
            raise NotFoundProblem

    def finalize_response(self, request: Request, response: HttpResponseBase, *args: Any, **kwargs: Any) -> Any:
        """Leaves what is not there yet as it is."""
        if isinstance(response, Later):
            return response
        return super().finalize_response(request, response, *args, **kwargs)  # type: ignore[arg-type]


class AsyncGenericAPIView(AsyncAPIView, GenericAPIView):  # type: ignore[type-arg]
    """The same over a queryset with serializer, filters and pagination."""


def _rendered(response: HttpResponseBase) -> HttpResponseBase:
    """A plain response with the same content: Django would visit a thread again to render DRF's."""
    if not isinstance(response, Response):
        return response
    response.render()
    plain = HttpResponse(response.content, status=response.status_code, headers=dict(response.items()))
    plain.data = response.data  # type: ignore[attr-defined]
    return plain
