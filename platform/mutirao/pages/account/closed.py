"""What allauth offers and we do not: nobody signs up, and a mail address is changed in the settings.

allauth links to these by name, so its own addresses stay; ours stand before them and answer like a missing page.
"""

from __future__ import annotations

from typing import Any

from django.http import Http404, HttpRequest, HttpResponse
from django.urls import path, re_path


def closed(request: HttpRequest, **_kwargs: Any) -> HttpResponse:
    """As if there were nothing."""
    raise Http404


closed_urls = [
    path("account/signup/", closed),
    path("account/email/", closed),
    path("account/password/set/", closed),
    re_path(r"^account/confirm-email/", closed),
    re_path(r"^account/login/code/", closed),
]
