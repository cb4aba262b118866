"""What there are rights to in this room."""

from __future__ import annotations

from django.utils.translation import gettext_lazy as _

from accounts.resources import Resource, Verb, register_resource

ANSWERS = Resource(
    "answers", _("Cached answers"),
    {
        Verb.VIEW: (
            "agents_cache.view_cacheentry", "agents_cache.view_entrytag", "agents_cache.view_cacheepoch",
            "agents_cache.view_calibration", "agents_cache.view_trial",
        ),
        Verb.CHANGE: (
            "agents_cache.change_cacheentry", "agents_cache.change_cacheepoch", "agents_cache.change_calibration",
        ),
    },
    {
        Verb.VIEW: _("See the questions and answers of everybody that are kept, and how well the cache decides."),
        Verb.CHANGE: _("Remove kept answers, say that knowledge has changed, set thresholds."),
    },
)  # fmt: skip


def register() -> None:
    """Called when the application starts."""
    register_resource(ANSWERS)
