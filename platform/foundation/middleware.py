"""Middleware without a thread hop for requests that do not need it.

Django's own middleware classes reach their `process_request` and `process_response` through a thread, each, when
the stack is asynchronous. API calls need no session, cookie, language or frame header, so they pass through.
"""

from __future__ import annotations

import re
from collections.abc import Awaitable, Callable
from typing import Any

import structlog
from asgiref.sync import iscoroutinefunction, markcoroutinefunction, sync_to_async
from csp.middleware import CSPMiddleware
from django.conf import settings
from django.contrib.auth.middleware import AuthenticationMiddleware
from django.contrib.messages.middleware import MessageMiddleware
from django.contrib.sessions.middleware import SessionMiddleware
from django.db import InterfaceError, OperationalError
from django.http import HttpRequest, HttpResponse, HttpResponseBase
from django.middleware.clickjacking import XFrameOptionsMiddleware
from django.middleware.common import CommonMiddleware
from django.middleware.csrf import CsrfViewMiddleware
from django.middleware.locale import LocaleMiddleware
from django.middleware.security import SecurityMiddleware
from django.template.loader import render_to_string
from django.utils import translation
from django.utils.deprecation import MiddlewareMixin
from django_redis.exceptions import ConnectionInterrupted
from redis.exceptions import RedisError

from foundation.models import new_id

logger = structlog.get_logger(__name__)

AWAY = (OperationalError, InterfaceError, RedisError, ConnectionInterrupted)
NO_PAGE = re.compile(r"^/(api/(?!v1/docs)|healthz|readyz|metrics)")
SAFE_REQUEST_ID = re.compile(r"^[A-Za-z0-9._-]{8,64}$")


class PagesOnly(MiddlewareMixin):
    """Runs the middleware it is mixed into for pages, and nothing for the API."""

    def __call__(self, request: HttpRequest) -> Any:
        if NO_PAGE.match(request.path) and not iscoroutinefunction(self):
            return self.get_response(request)
        return super().__call__(request)

    async def __acall__(self, request: HttpRequest) -> Any:
        if NO_PAGE.match(request.path):
            return await self.get_response(request)  # type: ignore[misc]
        return await super().__acall__(request)


class PageSecurityMiddleware(SecurityMiddleware):
    """Headers and the redirect to HTTPS; needed by the API too, and so little work that no thread is visited for it.

    For the API it also refuses unknown hosts, which CommonMiddleware does for pages. Probes come by any name.
    """

    def process_request(self, request: HttpRequest) -> Any:
        """Raises DisallowedHost."""
        if request.path.startswith("/api/"):
            request.get_host()
        return super().process_request(request)

    async def __acall__(self, request: HttpRequest) -> Any:
        redirect = self.process_request(request)
        if redirect is not None:
            return redirect
        return self.process_response(request, await self.get_response(request))  # type: ignore[misc]


class PageSessionMiddleware(PagesOnly, SessionMiddleware): ...


class PageLocaleMiddleware(PagesOnly, LocaleMiddleware): ...


class PageCommonMiddleware(PagesOnly, CommonMiddleware): ...


class PageCsrfMiddleware(PagesOnly, CsrfViewMiddleware):
    """Django calls `process_view` for every view, in a thread of its own when the stack is asynchronous."""

    def __init__(self, get_response: Any) -> None:
        super().__init__(get_response)
        if iscoroutinefunction(self):
            self.process_view = self._aprocess_view  # type: ignore[assignment, method-assign]

    async def _aprocess_view(self, request: HttpRequest, callback: Any, args: Any, kwargs: Any) -> Any:
        if NO_PAGE.match(request.path):
            return None
        check = super().process_view
        return await sync_to_async(check, thread_sensitive=True)(request, callback, args, kwargs)


class PageAuthenticationMiddleware(PagesOnly, AuthenticationMiddleware): ...


class PageLanguageMiddleware(PagesOnly, MiddlewareMixin):
    """The language that a signed-in person chose in their settings; PageLocaleMiddleware serves everybody else."""

    def process_request(self, request: HttpRequest) -> None:
        """Activates it for this request."""
        try:
            language = getattr(request.user, "language", "")
        except (OperationalError, InterfaceError):
            return  # the view meets the same database, and its error is answered with a page
        if language:
            translation.activate(language)
            request.LANGUAGE_CODE = translation.get_language()


class PageMessageMiddleware(PagesOnly, MessageMiddleware): ...


class PageXFrameOptionsMiddleware(PagesOnly, XFrameOptionsMiddleware): ...


class PageContentSecurityMiddleware(PagesOnly, CSPMiddleware):
    """The strict policy everywhere but below the few addresses of `settings.CONTENT_SECURITY_POLICIES`."""

    def get_policy_parts(self, request: HttpRequest, response: HttpResponseBase, report_only: bool = False) -> Any:  # noqa: FBT001, FBT002 (the library's)
        """The parts that the header is made of."""
        parts = super().get_policy_parts(request, response, report_only)
        if not report_only:
            own = (
                policy for start, policy in settings.CONTENT_SECURITY_POLICIES.items() if request.path.startswith(start)
            )
            parts.config = next(own, parts.config)
        return parts


class PageUnavailableMiddleware(PagesOnly, MiddlewareMixin):
    """A page that says so, with 503, when the database or Redis is away while a page is made."""

    def process_exception(self, request: HttpRequest, exception: Exception) -> HttpResponse | None:
        """None for what is neither: that is an error of ours. The API answers for itself (foundation.problems)."""
        if NO_PAGE.match(request.path) or not isinstance(exception, AWAY):
            return None
        logger.error("page_unavailable", path=request.path, error=type(exception).__name__)
        page = render_to_string("503.html", {"request_id": getattr(request, "request_id", "")})
        return HttpResponse(page, status=503, headers={"Retry-After": "5", "Cache-Control": "no-store"})


Response = HttpResponseBase
GetResponse = Callable[[HttpRequest], Response | Awaitable[Response]]


class RequestIdMiddleware:
    """Gives every request an id: the caller's `X-Request-ID` if it is a harmless one, else a new one.

    It is on the answer, in every log line, and on the task that the request submits. What else has to be on every
    answer, errors and streams included, whoever knows it puts into `request.answer_headers`.
    """

    sync_capable = True
    async_capable = True

    def __init__(self, get_response: GetResponse) -> None:
        self.get_response = get_response
        if iscoroutinefunction(get_response):
            markcoroutinefunction(self)

    def __call__(self, request: HttpRequest) -> Any:
        if iscoroutinefunction(self):
            return self.__acall__(request)
        self._begin(request)
        return self._end(request, self.get_response(request))  # type: ignore[arg-type]

    async def __acall__(self, request: HttpRequest) -> Response:
        self._begin(request)
        return self._end(request, await self.get_response(request))  # type: ignore[misc]

    def _begin(self, request: HttpRequest) -> None:
        given = request.headers.get("X-Request-ID", "")
        request.request_id = given if SAFE_REQUEST_ID.match(given) else str(new_id())  # type: ignore[attr-defined]
        request.answer_headers = {}  # type: ignore[attr-defined]
        structlog.contextvars.clear_contextvars()
        structlog.contextvars.bind_contextvars(request_id=request.request_id)  # type: ignore[attr-defined]

    def _end(self, request: HttpRequest, response: Response) -> Response:
        response.headers["X-Request-ID"] = request.request_id  # type: ignore[attr-defined]
        for name, value in request.answer_headers.items():  # type: ignore[attr-defined]
            response.headers[name] = value
        return response
