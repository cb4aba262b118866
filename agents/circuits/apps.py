from django.apps import AppConfig
from django.utils.translation import gettext_lazy as _


class CircuitsConfig(AppConfig):
    name = "agents.circuits"
    label = "agents_circuits"
    verbose_name = _("Circuit breakers")

    def ready(self) -> None:
        from accounts import audit
        from agents.circuits import measuring, pruning, resources

        pruning.register_rules()
        resources.register()
        measuring.register()

        audit.register_verb("circuit.force", _("held a circuit breaker open or closed"))
        audit.register_verb("circuit.release", _("released a circuit breaker"))
