"""The audit log over HTTP."""

from __future__ import annotations

from typing import Any, ClassVar

import django_filters
from django.db.models import QuerySet
from django.http import StreamingHttpResponse
from django.utils.translation import gettext_lazy as _
from drf_spectacular.types import OpenApiTypes
from drf_spectacular.utils import OpenApiParameter, extend_schema
from rest_framework import mixins, serializers
from rest_framework.exceptions import ValidationError
from rest_framework.permissions import BasePermission
from rest_framework.request import Request
from rest_framework.response import Response

from accounts import audit
from accounts.models import AuditEvent, User
from accounts.record_export import FORMATS, export_events
from foundation.async_views import AsyncGenericAPIView
from foundation.filters import MomentFilter

VIEW = "accounts.view_auditevent"


class MayReadAudit(BasePermission):
    """Whoever may view audit events."""

    message = _("You may not read the audit log.")

    def has_permission(self, request: Request, view: Any) -> bool:
        """By role."""
        return isinstance(request.user, User) and request.user.has_perm(VIEW)


class AuditEventSerializer(serializers.ModelSerializer[AuditEvent]):
    """One event; `deed` is its verb in words. `position` and `hash` are its place in the chain."""

    deed = serializers.SerializerMethodField()

    class Meta:
        model = AuditEvent
        fields: ClassVar[tuple[str, ...]] = (
            "id", "created_at", "verb", "deed", "outcome", "actor_id", "actor_name", "subject_type", "subject_id",
            "subject_name", "changes", "address", "request_id", "position", "hash", "shredded_by",
        )  # fmt: skip
        read_only_fields = fields

    def get_deed(self, event: AuditEvent) -> str:
        """In words."""
        return audit.label_of(event.verb)


class AuditFilter(django_filters.FilterSet):  # type: ignore[misc]  # django-filter has no types
    """`?verb=auth.sign_in&verb=auth.sign_out&outcome=denied&actor=<id>&subject=<id>&since=…&until=…`"""

    verb = django_filters.MultipleChoiceFilter(choices=lambda: [*audit.verbs().items()])
    outcome = django_filters.ChoiceFilter(choices=AuditEvent.Outcome.choices)
    actor = django_filters.UUIDFilter(field_name="actor_id", label=_("The id of the person."))
    subject = django_filters.UUIDFilter(field_name="subject_id", label=_("The id of what it was done to."))
    since = MomentFilter(field_name="created_at", lookup_expr="gte")
    until = MomentFilter(field_name="created_at", lookup_expr="lt")

    class Meta:
        model = AuditEvent
        fields: tuple[str, ...] = ()


class AuditView(AsyncGenericAPIView):
    """What both views share."""

    queryset = AuditEvent.objects.none()
    serializer_class = AuditEventSerializer
    permission_classes = (*AsyncGenericAPIView.permission_classes, MayReadAudit)
    required_scope = "audit:read"
    filterset_class = AuditFilter
    search_fields: ClassVar[list[str]] = []
    ordering_fields: ClassVar = ["created_at"]

    def get_queryset(self) -> QuerySet[AuditEvent]:
        """All of them; `?search=` looks for names and ids exactly."""
        rows = AuditEvent.objects.defer("digests", "salt")
        wanted = self.request.query_params.get("search", "")
        return rows.named(wanted) if wanted else rows


class AuditList(mixins.ListModelMixin, AuditView):
    """Audit events."""

    @extend_schema(operation_id="audit_list", summary="List audit events", tags=["audit"])
    def get(self, request: Request) -> Response:
        """Who did what, the newest first, for whoever may view audit events."""
        return self.list(request)


class AuditExport(AuditView):
    """Audit events as a file."""

    pagination_class = None

    @extend_schema(
        operation_id="audit_export", summary="Download audit events", tags=["audit"],
        parameters=[OpenApiParameter("as", OpenApiTypes.STR, enum=[*FORMATS], default="jsonl")],
        responses={(200, "application/x-ndjson"): OpenApiTypes.BINARY, (200, "text/csv"): OpenApiTypes.BINARY},
    )  # fmt: skip
    def get(self, request: Request) -> StreamingHttpResponse:
        """The events that a list with the same filters would show, the oldest 100,000 in order of the chain.

        As JSON lines they can be verified with `manage.py verify_audit --export`. That it was done is recorded.
        """
        form = request.query_params.get("as", "jsonl")
        if form not in FORMATS:
            raise ValidationError({"as": [_("One of jsonl and csv.")]})
        filters = {name: request.query_params.getlist(name) for name in request.query_params}
        events = self.filter_queryset(self.get_queryset()).order_by()
        return export_events(events=events, form=form, filters=filters, request=request)
