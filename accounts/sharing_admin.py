"""Who something is shared with, in the admin of whatever can be shared."""

from __future__ import annotations

from typing import Any, ClassVar

from django.core.exceptions import PermissionDenied
from django.http import Http404, HttpRequest, HttpResponse
from django.shortcuts import redirect
from django.utils.translation import gettext as _
from django.utils.translation import gettext_lazy
from unfold.decorators import action

from accounts.models import User
from accounts.sharing import grants_of
from accounts.sharing_forms import answer, form_for
from foundation.admin import BaseAdmin, page


class SharedAdmin(BaseAdmin):
    """With a page of the grants on a row: whoever sees the row sees them, whoever may share it changes them."""

    actions_detail: ClassVar = ["sharing"]

    @action(description=gettext_lazy("Who is it shared with?"), url_path="sharing", permissions=["view"])
    def sharing(self, request: HttpRequest, object_id: str) -> HttpResponse:
        """The grants, and the form to give one."""
        thing, user = self.get_object(request, object_id), request.user
        if thing is None:
            raise Http404
        if not isinstance(user, User) or not self.has_view_permission(request, thing):
            raise PermissionDenied
        form = form_for(thing, user)
        if request.method == "POST":
            if form is None:
                raise PermissionDenied
            form = answer(request, thing, user)
            if form is None:
                return redirect(request.path)
        context: dict[str, Any] = {"thing": thing, "grants": grants_of(thing), "form": form, "original": thing}
        title = _("Who is “%(thing)s” shared with?") % {"thing": thing}
        return page(self, request, "admin/sharing/page.html", title=title, **context)
