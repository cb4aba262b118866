"""What there are rights to in this room."""

from __future__ import annotations

from django.utils.translation import gettext_lazy as _

from accounts.resources import Resource, Verb, register_resource

SCHEDULES = Resource(
    "schedules", _("Schedules"),
    {
        Verb.VIEW: ("agents_schedules.view_schedule", "agents_schedules.view_scheduledrun"),
        Verb.USE: ("agents_schedules.operate_schedule",),
        Verb.CHANGE: (
            "agents_schedules.add_schedule", "agents_schedules.change_schedule", "agents_schedules.delete_schedule",
        ),
    },
    {
        Verb.VIEW: _("See the schedules of everybody."),
        Verb.USE: _("Pause, resume and run the schedules of others."),
        Verb.CHANGE: _("Change and delete the schedules of others. They run with the rights of their owners."),
    },
    _("Everybody makes, changes and deletes their own schedules."),
)  # fmt: skip


def register() -> None:
    """Called when the application starts."""
    register_resource(SCHEDULES)
