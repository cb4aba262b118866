"""What there are rights to in this room."""

from __future__ import annotations

from django.utils.translation import gettext_lazy as _

from accounts.resources import Resource, Verb, register_resource

TASKS = Resource(
    "tasks", _("Tasks"),
    {
        Verb.VIEW: (
            "agents_tasks.view_task", "agents_tasks.view_attempt", "agents_tasks.view_taskevent",
            "agents_tasks.view_taskdependency",
        ),
        Verb.CHANGE: ("agents_tasks.operate_task",),
    },
    {
        Verb.VIEW: _("See the tasks of everybody, with what was said in them."),
        Verb.CHANGE: _("Cancel, retry, answer and review the tasks of others."),
    },
    _("Everybody sees, cancels and retries their own tasks."),
)  # fmt: skip
QUEUES = Resource(
    "queues", _("Queues and concurrency limits"),
    {
        Verb.VIEW: ("agents_tasks.view_queue", "agents_tasks.view_concurrencylimit", "agents_tasks.view_slot"),
        Verb.CHANGE: (
            "agents_tasks.add_queue", "agents_tasks.change_queue", "agents_tasks.delete_queue",
            "agents_tasks.add_concurrencylimit", "agents_tasks.change_concurrencylimit",
            "agents_tasks.delete_concurrencylimit",
        ),
    },
    {Verb.CHANGE: _("Pause queues, and say how much may wait and run.")},
)  # fmt: skip


def register() -> None:
    """Called when the application starts."""
    register_resource(TASKS)
    register_resource(QUEUES)
