from django.apps import AppConfig
from django.utils.translation import gettext_lazy as _


class MemoryConfig(AppConfig):
    name = "agents.memory"
    label = "agents_memory"
    verbose_name = _("Conversations")

    def ready(self) -> None:
        from agents.memory import resources, sharing
        from agents.memory.privacy import register_holdings
        from agents.memory.pruning import register_rules
        from agents.memory.services import belongs_to_conversation, store_reply
        from agents.tasks import hooks

        register_rules()
        register_holdings()
        resources.register()
        sharing.register()

        hooks.on_finished(store_reply, wants=belongs_to_conversation)
