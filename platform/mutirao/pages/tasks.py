from __future__ import annotations

from typing import Any

from django.http import Http404, HttpRequest, HttpResponse


def later(request: HttpRequest, **_kwargs: Any) -> HttpResponse:
    """Replaced by the page itself."""
    raise Http404


agent_list = agent_page = task_list = task_page = task_live = task_verb = later
