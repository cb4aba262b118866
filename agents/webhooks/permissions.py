"""Who may do what with a delivery, beyond seeing it (`Delivery.objects.visible_to`)."""

from __future__ import annotations

from accounts.models import User
from agents.webhooks.models import Delivery

REPLAY = "agents_webhooks.replay_delivery"


def may_replay(user: User, delivery: Delivery) -> bool:
    """Its owner, and whoever may replay deliveries of others."""
    return delivery.owner_id == user.pk or user.has_perm(REPLAY)
