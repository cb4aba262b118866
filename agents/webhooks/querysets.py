from __future__ import annotations

from collections.abc import Collection
from datetime import datetime
from typing import TYPE_CHECKING, Self

from django.db import models
from django.db.models import Q

from agents.definitions.narrowing import agents_within, narrowed

if TYPE_CHECKING:
    from accounts.models import User
    from agents.webhooks.models import Delivery, Endpoint  # noqa: F401 (in strings)


class EndpointQuerySet(models.QuerySet["Endpoint"]):
    def visible_to(self, user: User) -> Self:
        """A person's own endpoints; everyone's for whoever may view endpoints. Within what their key is narrowed to,
        which leaves out those that hear of every agent.
        """
        own = self if user.has_perm("agents_webhooks.view_endpoint") else self.filter(owner=user)
        return narrowed(own, user)

    def live(self) -> Self:
        """Endpoints that are told: not those of somebody who may not sign in any more."""
        return self.filter(disabled_at=None, owner__is_active=True)

    def without_secrets(self) -> Self:
        """The rows as they can be read without the keys of encryption: whoever does not sign needs no secret."""
        return self.defer("secret", "previous_secret")


class DeliveryQuerySet(models.QuerySet["Delivery"]):
    def visible_to(self, user: User) -> Self:
        """A person's own deliveries; everyone's for whoever may view deliveries. Within what their key is narrowed to:
        by the task or, where there is none, by the endpoint.
        """
        own = self if user.has_perm("agents_webhooks.view_delivery") else self.filter(owner=user)
        within = agents_within(user)
        if within is None:
            return own
        return own.filter(Q(task__agent__in=within) | Q(task=None, endpoint__agent__in=within))

    def due(self, now: datetime) -> Self:
        """Deliveries whose next try has come, those that have waited longest first."""
        return self.filter(state__in=["pending", "failed"], next_try_at__lte=now).order_by("next_try_at", "id")

    def abandoned(self, now: datetime) -> Self:
        """Deliveries whose sender has not come back in time: nobody knows whether they arrived."""
        return self.filter(state="delivering", lease_expires_at__lt=now).order_by("lease_expires_at")

    def waiting(self) -> Self:
        """Deliveries that are still to arrive."""
        return self.filter(state__in=["pending", "failed", "delivering"])

    def not_to(self, hosts: Collection[str]) -> Self:
        """Those to other hosts."""
        return self.exclude(host__in=hosts) if hosts else self

    def takeable(self, now: datetime) -> Self:
        """Those that a sender may take: due, or abandoned."""
        is_due = Q(state__in=["pending", "failed"], next_try_at__lte=now)
        return self.filter(is_due | Q(state="delivering", lease_expires_at__lt=now))
