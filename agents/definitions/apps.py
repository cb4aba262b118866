from django.apps import AppConfig
from django.utils.translation import gettext_lazy as _


class AgentsConfig(AppConfig):
    name = "agents.definitions"
    label = "agents_definitions"
    verbose_name = _("Agents")

    def ready(self) -> None:
        from accounts import audit, limits_portable, narrowing, subjects
        from accounts.rights import when_rights_change
        from agents.definitions import cache, portable, resources, sharing
        from agents.definitions.health import agents_are_there
        from agents.definitions.narrowing import list_agents
        from agents.definitions.subjects import AgentSubjects
        from telemetry import health

        portable.register_kinds()
        narrowing.register_directory(list_agents)
        subjects.register_agents(AgentSubjects())
        # After agents, in whose limits a file names them.
        limits_portable.register_kinds()
        resources.register()
        sharing.register()
        when_rights_change(cache.forget)

        health.register("agents", agents_are_there)

        audit.register_verb("agent.create", _("made an agent"))
        audit.register_verb("agent.update", _("changed an agent"))
        audit.register_verb("agent.publish", _("published a version of an agent"))
