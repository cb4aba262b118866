"""The audit log in the admin: a list that is narrowed in words, a page for each event, the seals, and files of both."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any, ClassVar, cast

from django.contrib import admin
from django.core.exceptions import PermissionDenied
from django.db.models import QuerySet
from django.http import Http404, HttpRequest, HttpResponse, StreamingHttpResponse
from django.urls import path
from django.utils.translation import gettext as _
from django.utils.translation import gettext_lazy
from unfold.decorators import display

from accounts import audit, links
from accounts.models import AuditEvent, AuditSeal
from accounts.querysets import AuditEventQuerySet
from accounts.record_export import FORMATS, export_events
from accounts.seals import link_of
from accounts.verifying import check_one, is_genuine
from foundation.admin import ReadOnlyAdmin, page

OUTCOMES = {AuditEvent.Outcome.DONE: "success", AuditEvent.Outcome.DENIED: "danger"}


class VerbFilter(admin.SimpleListFilter):
    """Every verb in words. Django's own filter of a text asks all rows for their values."""

    title = gettext_lazy("deed")
    parameter_name = "verb"

    def lookups(self, request: HttpRequest, model_admin: Any) -> list[tuple[str, str]]:
        """What can be chosen, in alphabetical order."""
        return sorted(audit.verbs().items(), key=lambda verb: verb[1])

    def queryset(self, request: HttpRequest, queryset: QuerySet[AuditEvent]) -> QuerySet[AuditEvent]:
        """The events of the verb that was chosen."""
        verb = self.value()
        return queryset.filter(verb=verb) if verb else queryset


@admin.register(AuditEvent)
class AuditEventAdmin(ReadOnlyAdmin):
    """Who did what."""

    list_display = ("created_at", "actor_name", "what", "subject_name", "result", "address")
    list_filter = (VerbFilter, "outcome", ("created_at", admin.DateFieldListFilter))
    # Shows the field; what is looked for is for `named` to say.
    search_fields = ("id",)
    search_help_text = gettext_lazy("A person's name, or an id: of the event, request, actor or subject, exactly.")
    # Only what has an index that gives this order.
    sortable_by = ("created_at",)
    ordering = ("-created_at", "-id")
    list_before_template = "admin/accounts/audit_downloads.html"
    download_formats = FORMATS

    def get_queryset(self, request: HttpRequest) -> QuerySet[AuditEvent]:
        """Without what may be large and nobody reads."""
        rows: QuerySet[AuditEvent] = super().get_queryset(request)
        return rows.defer("digests", "salt")

    def get_search_results(
        self, request: HttpRequest, queryset: QuerySet[AuditEvent], search_term: str
    ) -> tuple[QuerySet[AuditEvent], bool]:
        """Exactly: a part of a name would read the whole table."""
        return (cast("AuditEventQuerySet", queryset).named(search_term) if search_term else queryset), False

    @display(description=gettext_lazy("deed"))
    def what(self, event: AuditEvent) -> str:
        """In words."""
        return audit.label_of(event.verb)

    @display(description=gettext_lazy("outcome"), label=OUTCOMES)
    def result(self, event: AuditEvent) -> tuple[str, str]:
        """A coloured badge."""
        return event.outcome, event.get_outcome_display()

    def get_urls(self) -> list[Any]:
        """The files beside the usual addresses."""
        wrap = self.admin_site.admin_view
        export = path("export/<str:form>/", wrap(self.export_view), name="accounts_auditevent_export")
        return [export, *super().get_urls()]

    def export_view(self, request: HttpRequest, form: str) -> StreamingHttpResponse:
        """The list as it is narrowed now, as a file."""
        if not self.has_view_permission(request):
            raise PermissionDenied
        if form not in FORMATS:
            raise Http404
        shown = self.get_changelist_instance(request).get_queryset(request)
        filters = {name: request.GET.getlist(name) for name in request.GET}
        return export_events(events=shown.order_by(), form=form, filters=filters, request=request)

    def change_view(
        self, request: HttpRequest, object_id: str, form_url: str = "", extra_context: dict[str, Any] | None = None
    ) -> HttpResponse:
        """One event in words."""
        event = self.get_object(request, object_id)
        if event is None or not self.has_view_permission(request, event):
            raise Http404 if self.has_view_permission(request) else PermissionDenied
        seal = AuditSeal.objects.filter(position__gte=event.position or 0).order_by("position").first()
        return page(
            self, request, "admin/accounts/audit_event.html",
            title=_("Audit event"), event=event, deed=audit.label_of(event.verb),
            colour=OUTCOMES.get(AuditEvent.Outcome(event.outcome), "default"), rows=[*_rows(event.changes)],
            broken=check_one(event), seal=seal if event.position is not None else None,
        )  # fmt: skip


def _rows(changes: Any) -> Iterable[tuple[str, str, str, bool]]:
    """Field, before, after, and whether there are two: what is no change of a field has one value."""
    if not isinstance(changes, dict):
        return
    for name, value in changes.items():
        if isinstance(value, dict) and value.keys() == {"before", "after"}:
            yield name, _words(value["before"]), _words(value["after"]), True
        else:
            yield name, _words(value), "", False


def _words(value: Any) -> str:
    if value is None or value in ("", [], {}):
        return "—"
    return value if isinstance(value, str) else links.canonical(value)


@admin.register(AuditSeal)
class AuditSealAdmin(ReadOnlyAdmin):
    """The chain's seals: what is to be kept outside too."""

    list_display = ("created_at", "position", "reason", "is_signed", "hash")
    list_filter = ("reason", ("created_at", admin.DateFieldListFilter))
    ordering = ("-position", "-id")
    fields = ("created_at", "position", "hash", "reason", "signature", "is_signed")
    readonly_fields: ClassVar = ["is_signed"]

    @display(description=gettext_lazy("signed by this installation"), boolean=True)
    def is_signed(self, seal: AuditSeal) -> bool:
        """With one of its keys."""
        return is_genuine(link_of(seal))
