from django.apps import AppConfig
from django.utils.translation import gettext_lazy as _


class RuntimeConfig(AppConfig):
    name = "agents.runtime"
    label = "agents_runtime"
    verbose_name = _("Runtime")
