"""Sharing an agent or a conversation: with whom it is shared, and a form to share it."""

from __future__ import annotations

import uuid
from typing import cast

from django.contrib import messages
from django.contrib.auth.decorators import login_required
from django.core.exceptions import PermissionDenied
from django.http import Http404, HttpRequest, HttpResponse
from django.shortcuts import redirect, render, resolve_url
from django.utils.translation import gettext as _
from django.views.decorators.http import require_http_methods

from accounts.models import User
from accounts.sharing import grants_of, kind_named
from accounts.sharing_forms import answer, form_for


@login_required
@require_http_methods(["GET", "POST"])
def agent(request: HttpRequest, slug: str) -> HttpResponse:
    """With whom an agent is shared."""
    return _page(request, "agents", slug, resolve_url("pages:agent", slug))


@login_required
@require_http_methods(["GET", "POST"])
def conversation(request: HttpRequest, pk: uuid.UUID) -> HttpResponse:
    """With whom a conversation of one's own is shared."""
    return _page(request, "conversations", str(pk), resolve_url("pages:conversation", pk))


def _page(request: HttpRequest, kind: str, key: str, back: str) -> HttpResponse:
    user = cast("User", request.user)
    thing = kind_named(kind).find(user, key)
    if thing is None:
        raise Http404
    form = form_for(thing, user)
    if form is None:
        raise PermissionDenied
    if request.method == "POST":
        form = answer(request, thing, user)
        if form is None:
            messages.success(request, _("Done."))
            return redirect(request.path)
    context = {"thing": thing, "grants": grants_of(thing), "form": form, "back": back, "kind": kind}
    return render(request, "sharing/page.html", context, status=400 if form.errors else 200)
