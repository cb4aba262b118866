from django.apps import AppConfig
from django.utils.translation import gettext_lazy as _


class ToolsConfig(AppConfig):
    name = "agents.tools"
    label = "agents_tools"
    verbose_name = _("Tools")

    def ready(self) -> None:
        from agents.definitions import validators
        from agents.tools import calculator, clock, registry  # noqa: F401 (they register themselves)
        from agents.tools.exceptions import UnknownTool

        validators.register_tool_validator(registry.check_name, raises=UnknownTool)
        validators.register_tool_names(registry.names)
