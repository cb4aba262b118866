from django.apps import AppConfig
from django.utils.translation import gettext_lazy as _


class TasksConfig(AppConfig):
    name = "agents.tasks"
    label = "agents_tasks"
    verbose_name = _("Tasks")

    def ready(self) -> None:
        from accounts import audit
        from agents.tasks import portable, privacy, pruning, resources

        pruning.register_rules()
        privacy.register_holdings()
        portable.register_kinds()
        resources.register()

        audit.register_verb("task.cancel", _("cancelled a task"))
        audit.register_verb("task.retry", _("retried a task"))
        audit.register_verb("task.resume", _("answered a task"))
        audit.register_verb("task.review", _("reviewed a task"))
        audit.register_verb("queue.change", _("changed a queue"))
        audit.register_verb("limit.set", _("set a concurrency limit"))
        audit.register_verb("limit.remove", _("removed a concurrency limit"))
