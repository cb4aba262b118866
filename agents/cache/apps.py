from django.apps import AppConfig
from django.utils.translation import gettext_lazy as _


class CacheConfig(AppConfig):
    name = "agents.cache"
    label = "agents_cache"
    verbose_name = _("Answer cache")

    def ready(self) -> None:
        from accounts import audit
        from agents.cache import addresses, observing, privacy, pruning, resources, shadowing
        from agents.cache.answers import CachedAnswers
        from agents.gateway.answers import register_answers
        from agents.gateway.entries import register_entries

        register_answers(CachedAnswers())
        register_entries(addresses.of_entry)
        resources.register()
        privacy.register_holdings()
        pruning.register_rules()
        observing.on_compared(shadowing.look)
        observing.on_rejected(shadowing.take_to_heart)
        audit.register_verb("cache.evict", _("removed cached answers"))
        audit.register_verb("cache.epoch", _("said that knowledge has changed"))
        audit.register_verb("cache.reject", _("said that cached answers are wrong"))
        audit.register_verb("cache.calibrate", _("calibrated the semantic cache by labelled pairs"))
        audit.register_verb("cache.start_anew", _("made the semantic cache forget what it learned"))
