from django.apps import AppConfig
from django.utils.translation import gettext_lazy as _


class GatewayConfig(AppConfig):
    name = "agents.gateway"
    label = "agents_gateway"
    verbose_name = _("Model gateway")
