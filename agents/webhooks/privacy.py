"""What webhooks keep of a person."""

from __future__ import annotations

from django.utils.translation import gettext_lazy as _

from accounts.models import User
from accounts.privacy import Holding, delete, ids_of, register_holding, rows_of
from agents.webhooks.models import Delivery, DeliveryAttempt, Endpoint, TaskSecret
from agents.webhooks.outbox import owners_with_endpoints


def _delete_endpoints(user: User) -> int:
    count = delete(Endpoint.objects.filter(owner=user)) + delete(TaskSecret.objects.filter(owner=user))
    owners_with_endpoints.forget()
    return count


def register_holdings() -> None:
    """Called when the application starts."""
    register_holding(
        Holding(
            "webhook-endpoints", _("webhook endpoints"), lambda user: rows_of(Endpoint.objects.filter(owner=user)),
            _delete_endpoints, order=220, things=lambda user: ids_of(Endpoint.objects.filter(owner=user)),
        )
    )  # fmt: skip
    register_holding(
        Holding(
            "webhook-deliveries", _("webhook deliveries"), lambda user: rows_of(Delivery.objects.filter(owner=user)),
            lambda user: delete(Delivery.objects.filter(owner=user)), order=210,
            things=lambda user: ids_of(Delivery.objects.filter(owner=user)),
        )
    )  # fmt: skip
    register_holding(
        Holding(
            "webhook-attempts", _("webhook attempts"),
            lambda user: rows_of(DeliveryAttempt.objects.filter(delivery__owner=user)),
            lambda user: delete(DeliveryAttempt.objects.filter(delivery__owner=user)), order=205,
        )
    )  # fmt: skip
