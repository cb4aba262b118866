"""Where I am signed in to the API, and ending that. Browser sessions are allauth's page, which leads here."""

from __future__ import annotations

import uuid
from typing import cast

from django.contrib import messages
from django.contrib.auth.decorators import login_required
from django.http import HttpRequest, HttpResponse
from django.shortcuts import get_object_or_404, redirect, render
from django.utils.translation import gettext as _
from django.views.decorators.http import require_POST, require_safe

from accounts.audit import Actor
from accounts.models import ApiSession, User
from accounts.sessions import end_session

MOST = 100


@login_required
@require_safe
def api_session_list(request: HttpRequest) -> HttpResponse:
    """One's own open sessions, the newest first."""
    own = ApiSession.objects.filter(user=cast("User", request.user)).open()
    return render(request, "mutirao/account/api_sessions.html", {"sessions": own[:MOST]})


@login_required
@require_POST
def api_session_end(request: HttpRequest, pk: uuid.UUID) -> HttpResponse:
    """Ends one of them; no error when it had ended."""
    own = ApiSession.objects.filter(user=cast("User", request.user)).select_related("user")
    if end_session(session=get_object_or_404(own, pk=pk), actor=Actor.of(request)):
        messages.success(request, _("The session has ended."))
    return redirect("pages:api-sessions")
