"""Webhooks in the admin: who is told, what was sent and how that went. No secret is shown, nor a whole address."""

from __future__ import annotations

from typing import Any, ClassVar

from django.contrib import admin, messages
from django.db.models import QuerySet
from django.http import HttpRequest, HttpResponse
from django.utils.translation import gettext as _
from django.utils.translation import gettext_lazy
from unfold.admin import TabularInline
from unfold.decorators import display

from accounts.audit import Actor
from agents.webhooks import services
from agents.webhooks.exceptions import WebhookError
from agents.webhooks.models import Delivery, DeliveryAttempt, Endpoint, without_path
from agents.webhooks.permissions import REPLAY
from foundation.admin import ReadOnlyAdmin, confirmation, is_confirmed

COLOURS = {
    Delivery.State.PENDING: "default", Delivery.State.DELIVERING: "info", Delivery.State.FAILED: "warning",
    Delivery.State.DELIVERED: "success", Delivery.State.DEAD: "danger",
}  # fmt: skip


@admin.register(Endpoint)
class EndpointAdmin(ReadOnlyAdmin):
    """Receivers. Their owners register and change them."""

    list_display = ("__str__", "owner", "address", "is_live", "failing_since", "created_at")
    list_filter = ("disabled_because", ("disabled_at", admin.EmptyFieldListFilter))
    list_select_related = ("owner",)
    search_fields = ("=id", "=owner__username", "description")
    ordering = ("-created_at", "-id")
    fields = (
        "id", "owner", "address", "description", "statuses", "agent", "includes_result", "created_at", "failing_since",
        "disabled_at", "disabled_because", "previous_until",
    )  # fmt: skip

    def get_queryset(self, request: HttpRequest) -> QuerySet[Endpoint]:
        """Secrets are not even read."""
        rows: QuerySet[Endpoint] = super().get_queryset(request)
        return rows.defer("secret", "previous_secret")

    @display(description=gettext_lazy("address"))
    def address(self, endpoint: Endpoint) -> str:
        """Without what may be secret in it."""
        return without_path(endpoint.url)

    @display(description=gettext_lazy("is told"), boolean=True)
    def is_live(self, endpoint: Endpoint) -> bool:
        """Not disabled."""
        return endpoint.disabled_at is None


class AttemptInline(TabularInline):  # type: ignore[misc]  # unfold has no types
    """Every try of a delivery."""

    model = DeliveryAttempt
    fields = ("number", "started_at", "took", "status_code", "error", "excerpt")
    readonly_fields = fields
    extra = 0
    max_num = 0
    can_delete = False
    hide_title = True

    @display(description=gettext_lazy("milliseconds"))
    def took(self, attempt: DeliveryAttempt) -> str:
        """Whole ones."""
        return f"{attempt.duration_ms:.0f}"

    def has_view_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        """Whoever sees the delivery."""
        return bool(request.user.has_perm("agents_webhooks.view_delivery"))


@admin.register(Delivery)
class DeliveryAdmin(ReadOnlyAdmin):
    """Deliveries with the log of their tries; one verb, which needs `replay_delivery` and leaves an audit entry."""

    list_display = ("short_id", "event", "badge", "host", "owner", "fence", "last_status_code", "created_at")
    list_filter = ("state", "event", ("created_at", admin.DateFieldListFilter))
    list_select_related = ("owner",)
    search_fields = ("=id", "=task__id", "=endpoint__id", "=owner__username", "=host")
    search_help_text = gettext_lazy("Id of the delivery, task or endpoint, owner or host, exactly.")
    ordering = ("-created_at", "-id")
    inlines: ClassVar = [AttemptInline]
    actions: ClassVar = ["replay_deliveries"]
    fields = (
        "id", "event", "state", "owner", "address", "endpoint", "task", "fence", "next_try_at", "last_status_code",
        "last_error", "created_at", "ended_at", "body",
    )  # fmt: skip

    def get_queryset(self, request: HttpRequest) -> QuerySet[Delivery]:
        """The endpoint's name without its secrets."""
        rows: QuerySet[Delivery] = super().get_queryset(request)
        return rows.select_related("endpoint", "task").defer("endpoint__secret", "endpoint__previous_secret")

    @display(description=gettext_lazy("delivery"))
    def short_id(self, delivery: Delivery) -> str:
        """The end of the id differs most."""
        return f"…{str(delivery.pk)[-8:]}"

    @display(description=gettext_lazy("state"), label=COLOURS, ordering="state")
    def badge(self, delivery: Delivery) -> tuple[str, str]:
        """A coloured badge."""
        return delivery.state, delivery.get_state_display()

    @display(description=gettext_lazy("address"))
    def address(self, delivery: Delivery) -> str:
        """Without what may be secret in it."""
        return delivery.shown_url

    def has_replay_permission(self, request: HttpRequest) -> bool:
        """May send again what belongs to others."""
        return bool(request.user.has_perm(REPLAY))

    @admin.action(permissions=["replay"], description=gettext_lazy("Replay"))
    def replay_deliveries(self, request: HttpRequest, deliveries: QuerySet[Delivery]) -> HttpResponse | None:
        """Sends them again, under their old ids."""
        if not is_confirmed(request):
            sentence = _("They are sent again under the same id, by which a receiver knows what it has already had.")
            return confirmation(
                self, request, action="replay_deliveries", title=_("Replay these deliveries?"), sentence=sentence,
                rows=deliveries,
            )  # fmt: skip
        done = sum(self._replay(request, delivery) for delivery in deliveries)
        self.message_user(request, _("%(done)d deliveries: queued again.") % {"done": done}, messages.SUCCESS)
        return None

    def _replay(self, request: HttpRequest, delivery: Delivery) -> bool:
        try:
            services.replay(delivery=delivery, actor=Actor.of(request))
        except WebhookError as error:
            self.message_user(request, f"{delivery.pk}: {error}", messages.WARNING)
            return False
        return True
