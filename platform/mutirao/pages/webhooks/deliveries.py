"""One delivery: what was sent, every try, and sending it again."""

from __future__ import annotations

import json
import uuid
from typing import Any, cast

from django.contrib import messages
from django.contrib.auth.decorators import login_required
from django.core.exceptions import PermissionDenied
from django.http import Http404, HttpRequest, HttpResponse
from django.shortcuts import redirect, render
from django.utils.translation import gettext as _
from django.views.decorators.http import require_POST, require_safe

from accounts.audit import Actor
from accounts.models import User
from agents.webhooks import services
from agents.webhooks.exceptions import WebhookError
from agents.webhooks.models import Delivery
from agents.webhooks.permissions import may_replay


@login_required
@require_safe
def delivery_page(request: HttpRequest, pk: uuid.UUID) -> HttpResponse:
    """Everything about one delivery."""
    return render(request, "webhooks/delivery.html", _shown(request, _delivery(request, pk)))


@login_required
@require_safe
def delivery_live(request: HttpRequest, pk: uuid.UUID) -> HttpResponse:
    """How it goes now. The last answer does not ask to be asked again."""
    return render(request, "webhooks/tries.html", _shown(request, _delivery(request, pk)))


@login_required
@require_POST
def delivery_replay(request: HttpRequest, pk: uuid.UUID) -> HttpResponse:
    """Queues it again."""
    delivery = _delivery(request, pk)
    if not may_replay(cast("User", request.user), delivery):
        raise PermissionDenied
    try:
        services.replay(delivery=delivery, actor=Actor.of(request))
    except WebhookError as error:
        messages.warning(request, str(error))
    else:
        messages.success(request, _("It is sent again, under the same id."))
    return redirect("pages:webhook-delivery", pk)


def _shown(request: HttpRequest, delivery: Delivery) -> dict[str, Any]:
    is_own = delivery.owner_id == cast("User", request.user).pk
    return {
        "delivery": delivery,
        "url": delivery.url if is_own else delivery.shown_url,
        "is_own": is_own,
        "attempts": [*delivery.attempts.order_by("-number")],
        "body": json.dumps(json.loads(delivery.body), ensure_ascii=False, indent=2),
        # A pause of minutes is not watched.
        "is_live": delivery.state in (Delivery.State.PENDING, Delivery.State.DELIVERING),
        "can_replay": delivery.state in services.REPLAYABLE and may_replay(cast("User", request.user), delivery),
    }


def _delivery(request: HttpRequest, pk: uuid.UUID) -> Delivery:
    rows = Delivery.objects.visible_to(cast("User", request.user)).select_related("endpoint")
    found = rows.defer("endpoint__secret", "endpoint__previous_secret").filter(pk=pk).first()
    if found is None:
        raise Http404
    return found
