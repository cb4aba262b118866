"""My data: all of it as a file."""

from __future__ import annotations

from typing import cast

from allauth.account.internal.flows.reauthentication import did_recently_reauthenticate
from allauth.core.exceptions import ReauthenticationRequired
from django.contrib import messages
from django.contrib.auth.decorators import login_required
from django.http import HttpRequest, HttpResponseBase
from django.shortcuts import redirect
from django.views.decorators.http import require_POST

from accounts import personal_data
from accounts.audit import Actor
from accounts.models import User
from foundation.downloads import download


@login_required
@require_POST
def download_my_data(request: HttpRequest) -> HttpResponseBase:
    """After the password was given again. Raises ReauthenticationRequired."""
    if not did_recently_reauthenticate(request):
        raise ReauthenticationRequired
    user = cast("User", request.user)
    try:
        chunks = personal_data.export_person(user=user, actor=Actor.of(request))
    except personal_data.ExportTooSoon as error:
        messages.warning(request, str(error))
        return redirect("pages:settings")
    return download(request, chunks, name=personal_data.file_name(user), content_type=personal_data.CONTENT_TYPE)
