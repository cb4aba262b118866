"""My keys: issue, show once, rotate, revoke."""

from __future__ import annotations

import uuid
from typing import Any, cast

from django.contrib import messages
from django.contrib.auth.decorators import login_required
from django.http import HttpRequest, HttpResponse
from django.shortcuts import get_object_or_404, redirect, render
from django.utils.timezone import now
from django.utils.translation import gettext as _
from django.views.decorators.http import require_http_methods, require_safe

from accounts.audit import Actor
from accounts.exceptions import KeyEnded, NameTaken
from accounts.issuing import IssuedKey, issue_api_key, revoke_api_key, rotate_api_key
from accounts.models import ApiKey, User
from mutirao.pages.account.forms import IssueForm, RotateForm

MOST_LIVE, MOST_ENDED = 200, 20


@login_required
@require_safe
def key_list(request: HttpRequest) -> HttpResponse:
    """One's own keys: what opens, and lately what did."""
    own = ApiKey.objects.filter(owner=_user(request)).select_related("replaced_by")
    live = own.live()
    ended = own.exclude(pk__in=live.values("pk"))
    context = {"live": live[:MOST_LIVE], "ended": ended[:MOST_ENDED], "now": now()}
    return render(request, "mutirao/account/keys.html", context)


@login_required
@require_http_methods(["GET", "POST"])
def key_new(request: HttpRequest) -> HttpResponse:
    """The form, then the key. A reload of the answer finds the name taken, and shows nothing."""
    form = IssueForm(request.POST or None, owner=_user(request))
    if request.method == "POST" and form.is_valid():
        try:
            issued = issue_api_key(owner=_user(request), actor=Actor.of(request), **form.wishes())
        except NameTaken as error:
            form.add_error("name", str(error))
        else:
            return _shown_once(request, issued)
    return render(request, "mutirao/account/key_new.html", {"form": form})


@login_required
@require_http_methods(["GET", "POST"])
def key_rotate(request: HttpRequest, pk: uuid.UUID) -> HttpResponse:
    """A successor of the same name and narrowing, shown once; the old one goes on for as long as was chosen."""
    key = _own_key(request, pk)
    form = RotateForm(request.POST or None)
    if request.method == "POST" and form.is_valid():
        try:
            issued = rotate_api_key(api_key=key, actor=Actor.of(request), overlap=form.overlap_time())
        except KeyEnded:
            messages.error(request, _("“%(name)s” has ended, or was rotated before.") % {"name": key.name})
            return redirect("pages:keys")
        key.refresh_from_db()
        return _shown_once(request, issued, old=key)
    return render(request, "mutirao/account/key_rotate.html", {"form": form, "key": key})


@login_required
@require_http_methods(["GET", "POST"])
def key_revoke(request: HttpRequest, pk: uuid.UUID) -> HttpResponse:
    """Asks, then ends the key for good."""
    key = _own_key(request, pk)
    if request.method != "POST":
        return render(request, "mutirao/account/key_revoke.html", {"key": key})
    if revoke_api_key(api_key=key, actor=Actor.of(request)):
        messages.success(request, _("“%(name)s” is revoked.") % {"name": key.name})
    return redirect("pages:keys")


def _shown_once(request: HttpRequest, issued: IssuedKey, **context: Any) -> HttpResponse:
    """The key's text, in this answer alone: no cache and no session keeps it."""
    response = render(request, "mutirao/account/key_issued.html", {"issued": issued, **context})
    response.headers["Cache-Control"] = "no-store"
    return response


def _own_key(request: HttpRequest, pk: uuid.UUID) -> ApiKey:
    return get_object_or_404(ApiKey.objects.select_related("owner"), pk=pk, owner=_user(request))


def _user(request: HttpRequest) -> User:
    return cast("User", request.user)
