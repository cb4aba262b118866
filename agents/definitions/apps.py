from django.apps import AppConfig
from django.utils.translation import gettext_lazy as _


class AgentsConfig(AppConfig):
    name = "agents.definitions"
    label = "agents_definitions"
    verbose_name = _("Agents")
