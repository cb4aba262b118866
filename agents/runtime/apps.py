from django.apps import AppConfig
from django.utils.translation import gettext_lazy as _

from agents.gateway.exceptions import LimitReached
from agents.runtime.exceptions import ChildFailed, StepLimitReached, UnusableInput
from agents.runtime.kinds import register_kinds
from agents.tasks.exceptions import InvalidInput
from telemetry import errors


class RuntimeConfig(AppConfig):
    name = "agents.runtime"
    label = "agents_runtime"
    verbose_name = _("Runtime")

    def ready(self) -> None:
        from agents.runtime.privacy import register_holdings

        register_kinds()
        register_holdings()
        # What an agent or its caller is told, and nobody has to repair.
        errors.expect(InvalidInput, LimitReached, StepLimitReached, ChildFailed, UnusableInput)
