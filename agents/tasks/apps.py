from django.apps import AppConfig
from django.utils.translation import gettext_lazy as _


class TasksConfig(AppConfig):
    name = "agents.tasks"
    label = "agents_tasks"
    verbose_name = _("Tasks")
