from django.apps import AppConfig
from django.utils.translation import gettext_lazy as _


class AccountsConfig(AppConfig):
    name = "accounts"
    verbose_name = _("People and access")

    def ready(self) -> None:
        # `schema` registers itself with drf-spectacular, `receivers` with allauth's signals.
        from accounts import (  # noqa: F401
            audit,
            denials,
            holdings,
            keys,
            own_resources,
            personal_data,
            portable,
            problems,
            pruning,
            receivers,
            resealing,
            rights,
            schema,
            verbs,
        )
        from foundation import problems as registry

        registry.on_denied(denials.note_denied)
        too_soon = personal_data.ExportTooSoon
        registry.register(too_soon, status=429, code="too-soon", retry_after=too_soon.wait)
        holdings.register_holdings()
        pruning.register_rules()
        portable.register_kinds()
        own_resources.register()
        resealing.register()
        problems.register()
        rights.when_rights_change(keys.forget)

        for verb, label in verbs.VERBS.items():
            audit.register_verb(verb, label)
