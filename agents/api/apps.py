from django.apps import AppConfig
from django.utils.translation import gettext_lazy as _


class ApiConfig(AppConfig):
    name = "agents.api"
    label = "agents_api"
    verbose_name = _("API")

    def ready(self) -> None:
        # Views, which want the models of every room.
        from agents.api import problems

        problems.register()
