"""My settings: who I am, how pages look to me, and how my account is kept."""

from __future__ import annotations

from typing import Any, cast

from allauth.account.adapter import get_adapter
from allauth.account.internal.flows.reauthentication import did_recently_reauthenticate
from allauth.core.exceptions import ReauthenticationRequired
from allauth.mfa.utils import is_mfa_enabled
from allauth.usersessions.models import UserSession
from django.contrib import messages
from django.contrib.auth.decorators import login_required
from django.http import HttpRequest, HttpResponse
from django.shortcuts import redirect, render
from django.utils import translation
from django.utils.translation import gettext as _
from django.views.decorators.http import require_http_methods

from accounts import audit
from accounts.audit import Actor
from accounts.exceptions import MailTaken
from accounts.models import ApiSession, AuditEvent, User
from accounts.services import change_profile
from mutirao.pages.account.forms import ProfileForm

MOST_DEEDS = 8


@login_required
@require_http_methods(["GET", "POST"])
def settings_page(request: HttpRequest) -> HttpResponse:
    """One form, and the state of everything else that is mine."""
    # A copy: the form writes into its instance, and the frame of the page shows the person as they are.
    user = User.objects.get(pk=cast("User", request.user).pk)
    form = ProfileForm(request.POST or None, instance=user)
    if request.method == "POST" and form.is_valid() and _save(request, form):
        _speak(request, form.cleaned_data["language"])
        messages.success(request, _("Saved."))
        return redirect("pages:settings")
    return render(request, "mutirao/account/settings.html", {"form": form, **_state(cast("User", request.user))})


def _save(request: HttpRequest, form: ProfileForm) -> bool:
    """False when the mail address went to somebody else meanwhile. Raises ReauthenticationRequired for a new one."""
    user = cast("User", request.user)
    old_mail = user.email
    if form.cleaned_data["email"] != old_mail and not did_recently_reauthenticate(request):
        raise ReauthenticationRequired
    try:
        changed = change_profile(user=user, values=form.cleaned_data, actor=Actor.of(request))
    except MailTaken as error:
        form.add_error("email", str(error))
        return False
    if "email" in changed and old_mail:
        get_adapter(request).send_notification_mail(
            "account/email/email_changed", user, {"from_email": old_mail, "to_email": user.email}, email=old_mail
        )
    return True


def _speak(request: HttpRequest, language: str) -> None:
    """The next words are in the language that was just chosen."""
    translation.activate(language or translation.get_language_from_request(request))


def _state(user: User) -> dict[str, Any]:
    sign_ins = AuditEvent.objects.filter(verb="auth.sign_in", subject_id=user.pk)
    return {
        "roles": sorted(user.groups.values_list("name", flat=True)),
        "has_second_factor": is_mfa_enabled(user),
        "session_count": UserSession.objects.filter(user=user).count(),
        "api_session_count": ApiSession.objects.filter(user=user).open().count(),
        "sign_ins": sign_ins.order_by("-created_at", "-id")[:5],
        "deeds": _deeds(user),
    }


def _deeds(user: User) -> list[dict[str, Any]]:
    """What was done to the account or by it lately, but for signing in, which has its own list."""
    rows = AuditEvent.objects.exclude(verb="auth.sign_in").order_by("-created_at", "-id").defer("digests", "salt")
    # Two questions, for each has an index that gives this order.
    found = {*rows.filter(actor_id=user.pk)[:MOST_DEEDS], *rows.filter(subject_id=user.pk)[:MOST_DEEDS]}
    events = sorted(found, key=lambda event: (event.created_at, event.pk), reverse=True)
    return [
        {
            "label": audit.label_of(event.verb), "where": event.changes.get("route", ""), "outcome": event.outcome,
            "created_at": event.created_at, "actor_name": event.actor_name, "is_mine": event.actor_id == user.pk,
        }
        for event in events[:MOST_DEEDS]
    ]  # fmt: skip
