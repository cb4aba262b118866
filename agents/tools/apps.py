from django.apps import AppConfig
from django.utils.translation import gettext_lazy as _


class ToolsConfig(AppConfig):
    name = "agents.tools"
    label = "agents_tools"
    verbose_name = _("Tools")

    def ready(self) -> None:
        from accounts import audit
        from agents.cache.effects import register_effects
        from agents.definitions import validators
        from agents.tasks.models import WaitingFor
        from agents.tasks.sweeping import on_expiry
        from agents.tools import (  # noqa: F401 (some register themselves)
            approvals,
            calculator,
            clock,
            effects,
            privacy,
            registry,
            resources,
        )
        from agents.tools.exceptions import InvalidTool, UnknownTool
        from agents.tools.schemas import check_tool

        validators.register_tool_validator(check_tool, raises=(UnknownTool, InvalidTool))
        validators.register_tool_names(registry.names)
        register_effects(effects.has_effects)
        privacy.register_holdings()
        on_expiry(WaitingFor.APPROVAL, approvals.expire)
        resources.register()
        audit.register_verb("approval.decide", _("decided about a tool call"))
        audit.register_verb("approval.expire", _("let an approval expire"))
        audit.register_verb("tool_call.review", _("reviewed a tool call"))
