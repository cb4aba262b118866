from django.apps import AppConfig
from django.utils.translation import gettext_lazy as _


class ToolsConfig(AppConfig):
    name = "agents.tools"
    label = "agents_tools"
    verbose_name = _("Tools")
