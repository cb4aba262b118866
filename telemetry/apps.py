from django.apps import AppConfig
from django.utils.translation import gettext_lazy as _


class TelemetryConfig(AppConfig):
    name = "telemetry"
    verbose_name = _("Telemetry")

    def ready(self) -> None:
        from telemetry import jobs
        from telemetry.pruning import register_rules

        jobs.connect()
        register_rules()
