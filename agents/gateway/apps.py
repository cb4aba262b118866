from django.apps import AppConfig
from django.utils.translation import gettext_lazy as _


class GatewayConfig(AppConfig):
    name = "agents.gateway"
    label = "agents_gateway"
    verbose_name = _("Model gateway")

    def ready(self) -> None:
        from agents.definitions.validators import register_model_validator
        from agents.gateway import resources
        from agents.gateway.exceptions import GatewayError
        from agents.gateway.privacy import register_holdings
        from agents.gateway.providers import validate_model_name
        from agents.gateway.pruning import register_rules

        register_rules()
        register_holdings()
        resources.register()

        register_model_validator(validate_model_name, raises=GatewayError)
