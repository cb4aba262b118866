"""Who is signed in to the API, and ending that."""

from __future__ import annotations

from typing import ClassVar

from django.contrib import admin, messages
from django.db.models import QuerySet
from django.http import HttpRequest, HttpResponse
from django.utils.translation import gettext as _
from django.utils.translation import gettext_lazy
from unfold.decorators import display

from accounts.audit import Actor
from accounts.models import ApiSession
from accounts.sessions import end_session
from foundation.admin import ReadOnlyAdmin, confirmation, is_confirmed


@admin.register(ApiSession)
class ApiSessionAdmin(ReadOnlyAdmin):
    """Sessions that tokens belong to."""

    list_display = ("user", "is_open", "address", "user_agent", "created_at", "refreshed_at", "expires_at", "ended_at")
    list_filter = (("ended_at", admin.EmptyFieldListFilter),)
    list_select_related = ("user",)
    search_fields = ("=user__username", "=address")
    ordering = ("-created_at", "-id")
    actions: ClassVar = ["end_sessions"]

    @display(description=gettext_lazy("open"), boolean=True)
    def is_open(self, session: ApiSession) -> bool:
        """Neither ended nor past its expiry, of somebody who may sign in."""
        return session.is_open and session.user.may_sign_in

    def has_end_permission(self, request: HttpRequest) -> bool:
        """Whoever may change sessions."""
        return bool(request.user.has_perm("accounts.change_apisession"))

    @admin.action(permissions=["end"], description=gettext_lazy("End"))
    def end_sessions(self, request: HttpRequest, sessions: QuerySet[ApiSession]) -> HttpResponse | None:
        """Ends sessions: their tokens open nothing any more."""
        rows = sessions.select_related("user")
        if not is_confirmed(request):
            sentence = _("Whoever uses them has to sign in again.")
            return confirmation(
                self, request, action="end_sessions", title=_("End these sessions?"), sentence=sentence, rows=rows
            )
        done = sum(end_session(session=session, actor=Actor.of(request)) for session in rows)
        self.message_user(request, _("%(done)d sessions ended.") % {"done": done}, messages.SUCCESS)
        return None
