"""Exporting and erasing a person, from the person's page in the admin."""

from __future__ import annotations

from typing import Any

from django import forms
from django.contrib import messages
from django.core.exceptions import PermissionDenied
from django.http import Http404, HttpRequest, HttpResponse, HttpResponseBase, HttpResponseRedirect
from django.urls import path, reverse
from django.utils.translation import gettext as _
from django.utils.translation import gettext_lazy

from accounts import personal_data
from accounts.audit import Actor
from accounts.erasing import erase_person
from accounts.exceptions import AccountError
from accounts.models import User
from accounts.rights import may_manage
from foundation.admin import page
from foundation.downloads import download

ADMINISTER = "accounts.administer_user"
# A page may keep somebody waiting for so long.
PATIENCE_SECONDS = 10.0


class ConfirmForm(forms.Form):
    """The name of whoever is to be erased, typed by hand."""

    name = forms.CharField(
        label=gettext_lazy("User name"), max_length=150, widget=forms.TextInput(attrs={"autocomplete": "off"})
    )

    def __init__(self, *args: Any, person: User, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self.person = person

    def clean_name(self) -> str:
        """Exactly."""
        if self.cleaned_data["name"] != self.person.username:
            raise forms.ValidationError(_("This is not the name of the person."))
        return self.person.username


class PrivacyAdmin:
    """What the admin of users is mixed with: a page for a person's data, and two verbs on it."""

    change_form_outer_before_template = "admin/accounts/person_data_link.html"

    def get_urls(self) -> list[Any]:
        """These pages beside the usual addresses."""
        wrap = self.admin_site.admin_view  # type: ignore[attr-defined]
        own = [
            path("<uuid:pk>/data/", wrap(self.data_view), name="accounts_user_data"),
            path("<uuid:pk>/data/download/", wrap(self.download_view), name="accounts_user_download"),
        ]
        return [*own, *super().get_urls()]  # type: ignore[misc]

    def render_change_form(self, request: HttpRequest, context: dict[str, Any], *args: Any, **kwargs: Any) -> Any:
        """With the way to these pages, for whoever is let in."""
        person = context.get("original")
        context["may_administer"] = isinstance(person, User) and _may_administer(request, person)
        return super().render_change_form(request, context, *args, **kwargs)  # type: ignore[misc]

    def data_view(self, request: HttpRequest, pk: Any) -> HttpResponse:
        """What is kept of a person; erases on a typed confirmation."""
        person = _person(request, pk)
        form = ConfirmForm(request.POST or None, person=person)
        if request.method == "POST" and form.is_valid() and self._erase(request, person):
            return HttpResponseRedirect(reverse("admin:accounts_user_changelist"))
        return page(
            self, request, "admin/accounts/person_data.html",
            title=_("Data of a person"), person=person, form=form,
        )  # fmt: skip

    def download_view(self, request: HttpRequest, pk: Any) -> HttpResponseBase:
        """Everything that is kept of the person, as a file."""
        person = _person(request, pk)
        if request.method != "POST":
            return HttpResponseRedirect(reverse("admin:accounts_user_data", args=[person.pk]))
        try:
            chunks = personal_data.export_person(user=person, actor=Actor.of(request))
        except AccountError as error:
            messages.warning(request, str(error))
            return HttpResponseRedirect(reverse("admin:accounts_user_data", args=[person.pk]))
        name = personal_data.file_name(person)
        return download(request, chunks, name=name, content_type=personal_data.CONTENT_TYPE)

    def _erase(self, request: HttpRequest, person: User) -> bool:
        try:
            erased = erase_person(user=person, actor=Actor.of(request), patience=PATIENCE_SECONDS)
        except AccountError as error:
            messages.error(request, str(error))
            return False
        messages.success(request, _("The person was erased. What is left is called %(name)s.") % {"name": erased.name})
        return True


def _may_administer(request: HttpRequest, person: User) -> bool:
    """Whoever has the right to, and all rights of the person."""
    asker = request.user
    return isinstance(asker, User) and asker.has_perm(ADMINISTER) and may_manage(asker, person)


def _person(request: HttpRequest, pk: Any) -> User:
    """Raises PermissionDenied, Http404."""
    if not request.user.has_perm(ADMINISTER):
        raise PermissionDenied
    person = User.objects.filter(pk=pk).first()
    if person is None:
        raise Http404
    if not _may_administer(request, person):
        raise PermissionDenied
    return person
