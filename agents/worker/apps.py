from django.apps import AppConfig
from django.utils.translation import gettext_lazy as _


class WorkerConfig(AppConfig):
    name = "agents.worker"
    label = "agents_worker"
    verbose_name = _("Workers")

    def ready(self) -> None:
        from agents.worker import resources

        resources.register()
