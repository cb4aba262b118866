from django.apps import AppConfig
from django.utils.translation import gettext_lazy as _


class GatewayConfig(AppConfig):
    name = "agents.gateway"
    label = "agents_gateway"
    verbose_name = _("Model gateway")

    def ready(self) -> None:
        from agents.definitions.validators import (
            register_model_names,
            register_model_validator,
            register_parameters_check,
        )
        from agents.gateway import circuits, portable, resources, verbs
        from agents.gateway.checking import agent_parameter_complaints, route_names
        from agents.gateway.exceptions import GatewayError
        from agents.gateway.privacy import register_holdings
        from agents.gateway.providers import validate_model_name
        from agents.gateway.pruning import register_rules
        from agents.gateway.spending import on_record
        from agents.tasks.metering import register_record

        register_rules()
        register_holdings()
        resources.register()
        verbs.register_verbs()
        portable.register_kinds()
        circuits.register()
        register_record(on_record)

        register_model_validator(validate_model_name, raises=GatewayError)
        register_model_names(route_names)
        register_parameters_check(agent_parameter_complaints)
