"""The admin's looks (Unfold)."""

from __future__ import annotations

from typing import Any

from django.http import HttpRequest
from django.templatetags.static import static
from django.urls import reverse_lazy
from django.utils.translation import gettext_lazy as _


def _item(title: Any, icon: str, model: str, *, may: str = "") -> dict[str, Any]:
    """A line of the sidebar, for whoever may view the model (`app_label.model`), or has the right that is named."""
    label, _dot, name = model.partition(".")

    def may_view(request: HttpRequest) -> bool:
        return request.user.has_perm(may or f"{label}.view_{name}")

    return {
        "title": title,
        "icon": icon,
        "link": reverse_lazy(f"admin:{label}_{name}_changelist"),
        "permission": may_view,
    }


def _page(title: Any, icon: str, name: str) -> dict[str, Any]:
    """A line that leads out of the admin, so it is never where one is."""
    return {"title": title, "icon": icon, "link": reverse_lazy(name), "active": lambda _request: False}


def _group(title: Any, *items: dict[str, Any]) -> dict[str, Any]:
    return {"title": title, "items": list(items)}


UNFOLD = {
    "SITE_TITLE": "Mutirão",
    "SITE_HEADER": "Mutirão",
    "SITE_SUBHEADER": _("agents in production"),
    "SITE_SYMBOL": "diversity_3",
    "SITE_FAVICONS": [
        {
            "rel": "icon",
            "sizes": "any",
            "type": "image/svg+xml",
            "href": lambda _request: static("mutirao/favicon.svg"),
        }
    ],
    "SHOW_HISTORY": False,
    "SHOW_VIEW_ON_SITE": False,
    "SHOW_LANGUAGES": False,
    "STYLES": [lambda _request: static("mutirao/admin.css")],
    "SCRIPTS": [lambda _request: static("mutirao/admin.js")],
    "SIDEBAR": {
        "show_search": False,
        "navigation": [
            _group(
                _("Pages"),
                _page(_("Overview"), "home", "pages:overview"),
                _page(_("Chat"), "chat", "pages:chat"),
            ),
            _group(
                _("Work"),
                _item(_("Tasks"), "task_alt", "agents_tasks.task"),
                _item(_("Approvals"), "how_to_reg", "agents_tools.approval"),
                _item(_("Tool calls"), "build", "agents_tools.toolcall"),
                _item(_("Schedules"), "schedule", "agents_schedules.schedule"),
                _item(_("Conversations"), "forum", "agents_memory.conversation"),
                _item(_("Webhook endpoints"), "webhook", "agents_webhooks.endpoint"),
                _item(_("Webhook deliveries"), "outbox", "agents_webhooks.delivery"),
            ),
            _group(
                _("Agents"),
                _item(_("Agents"), "smart_toy", "agents_definitions.agent"),
                _item(_("Model calls"), "neurology", "agents_gateway.modelcall"),
                _item(_("Model routes"), "alt_route", "agents_gateway.route"),
                _item(_("Model deployments"), "deployed_code", "agents_gateway.deployment"),
                _item(_("Model credentials"), "password", "agents_gateway.credential"),
                _item(_("Prices"), "sell", "agents_gateway.price"),
                _item(_("Cached answers"), "cached", "agents_cache.cacheentry"),
                _item(_("Cache calibrations"), "tune", "agents_cache.calibration"),
                _item(_("Knowledge epochs"), "menu_book", "agents_cache.cacheepoch"),
                _item(_("Circuit breakers"), "electrical_services", "agents_circuits.circuitchange"),
            ),
            _group(
                _("People"),
                _item(_("Users"), "person", "accounts.user"),
                _item(_("Roles"), "groups", "accounts.role"),
                _item(_("Keys for the API"), "key", "accounts.apikey"),
                _item(_("Quotas"), "data_usage", "accounts.quota"),
                _item(_("Rate limits"), "speed", "accounts.ratelimit"),
                _item(
                    _("Service accounts"),
                    "precision_manufacturing",
                    "accounts.serviceaccount",
                    may="accounts.view_user",
                ),
                _item(_("API sessions"), "vpn_key", "accounts.apisession"),
                _item(_("Refresh tokens"), "badge", "token_blacklist.outstandingtoken"),
            ),
            _group(
                _("Observe"),
                _item(_("Workers"), "engineering", "agents_worker.workerprocess"),
                _item(_("Spans"), "timeline", "telemetry.span"),
                _item(_("Audit"), "policy", "accounts.auditevent"),
                _item(_("Audit seals"), "verified", "accounts.auditseal"),
                _item(_("Celery results"), "inventory_2", "django_celery_results.taskresult"),
            ),
        ],
    },
}
