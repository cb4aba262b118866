from django.apps import AppConfig
from django.utils.translation import gettext_lazy as _


class AgentsConfig(AppConfig):
    name = "agents.definitions"
    label = "agents_definitions"
    verbose_name = _("Agents")

    def ready(self) -> None:
        from accounts import audit
        from accounts.rights import when_rights_change
        from agents.definitions import cache, portable, resources, sharing
        from agents.definitions.health import agents_are_there
        from telemetry import health

        portable.register_kinds()
        resources.register()
        sharing.register()
        when_rights_change(cache.forget)

        health.register("agents", agents_are_there)

        audit.register_verb("agent.create", _("made an agent"))
        audit.register_verb("agent.update", _("changed an agent"))
        audit.register_verb("agent.publish", _("published a version of an agent"))
