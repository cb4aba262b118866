from django.apps import AppConfig
from django.utils.translation import gettext_lazy as _

from agents.runtime.kinds import register_kinds


class RuntimeConfig(AppConfig):
    name = "agents.runtime"
    label = "agents_runtime"
    verbose_name = _("Runtime")

    def ready(self) -> None:
        register_kinds()
