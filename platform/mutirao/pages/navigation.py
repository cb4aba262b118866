"""What stands at the edge of every page (a context processor)."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from django.http import HttpRequest
from django.urls import reverse
from django.utils.translation import gettext as _

from accounts.models import User
from agents.tools.models import Approval
from agents.tools.permissions import may_decide

NOT_OURS = ("/admin/", "/api/")
MOST_COUNTED = 99


@dataclass(frozen=True, slots=True)
class Item:
    """A line of the navigation."""

    label: str
    url: str
    icon: str
    is_current: bool
    # How many things wait there; 0 says nothing.
    count: int = 0


def navigation(request: HttpRequest) -> dict[str, Any]:
    """`navigation.items`, `.own`, `.sign_out`, and `theme` ("light", "dark" or empty: the system's)."""
    user = getattr(request, "user", None)
    if not isinstance(user, User) or request.path.startswith(NOT_OURS):
        return {}
    items = [
        _item(request, _("Overview"), "pages:overview", "home", exact=True),
        _item(request, _("Chat"), "pages:chat", "chat"),
        _item(request, _("Agents"), "pages:agents", "agent"),
        _item(request, _("Tasks"), "pages:tasks", "task"),
        _item(request, _("Schedules"), "pages:schedules", "clock"),
        _item(request, _("Usage"), "pages:usage", "usage"),
        _item(request, _("My keys"), "pages:keys", "key"),
        _item(request, _("Webhooks"), "pages:webhooks", "webhook"),
    ]
    if may_decide(user):
        waiting = Approval.objects.pending()[:MOST_COUNTED].count()
        items.insert(4, _item(request, _("Approvals"), "pages:approvals", "check", count=waiting))
    if user.has_perm("agents_tasks.view_task"):
        items.append(_item(request, _("Operations"), "pages:operations", "clock"))
    if user.has_perm("agents_cache.view_cacheentry"):
        items.append(_item(request, _("Answer cache"), "pages:answer-cache", "layers"))
    if user.is_staff:
        items.append(_item(request, _("Administration"), "admin:index", "admin"))
    own = [_item(request, _("My settings"), "pages:settings", "settings")]
    return {
        "navigation": {"items": items, "own": own, "sign_out": reverse("account_logout")},
        "theme": user.theme,
    }


def _item(request: HttpRequest, label: str, name: str, icon: str, *, exact: bool = False, count: int = 0) -> Item:
    url = reverse(name)
    is_current = request.path == url if exact else request.path.startswith(url)
    return Item(label, url, icon, is_current, count)
