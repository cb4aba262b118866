from __future__ import annotations

from django.http import Http404, HttpRequest, HttpResponse
from django.urls import path


def later(request: HttpRequest) -> HttpResponse:
    """Replaced by the page itself."""
    raise Http404


urlpatterns = [
    path("keys/", later, name="keys"),
    path("settings/", later, name="settings"),
]
