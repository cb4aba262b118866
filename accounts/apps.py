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
            rights,
            schema,
        )
        from foundation import problems as registry

        registry.on_denied(denials.note_denied)
        too_soon = personal_data.ExportTooSoon
        registry.register(too_soon, status=429, code="too-soon", retry_after=too_soon.wait)
        holdings.register_holdings()
        pruning.register_rules()
        portable.register_kinds()
        own_resources.register()
        problems.register()
        rights.when_rights_change(keys.forget)

        audit.register_verb("api_key.issue", _("issued an API key"))
        audit.register_verb("api_key.revoke", _("revoked an API key"))
        audit.register_verb("api_key.rotate", _("rotated an API key"))
        audit.register_verb("api_key.use", _("used an API key"))
        audit.register_verb("api_session.end", _("ended an API session"))
        audit.register_verb("service_account.create", _("made a service account"))
        audit.register_verb("auth.token_reuse", _("used a refresh token again"))
        audit.register_verb("auth.sign_in", _("signed in"))
        audit.register_verb("auth.sign_out", _("signed out"))
        audit.register_verb("auth.password_change", _("changed a password"))
        audit.register_verb("auth.password_reset", _("reset a password by mail"))
        audit.register_verb("auth.second_factor_on", _("turned on the second factor"))
        audit.register_verb("auth.second_factor_off", _("turned off the second factor"))
        audit.register_verb("auth.second_factor_reset", _("reset a second factor"))
        audit.register_verb("auth.recovery_codes", _("made new recovery codes"))
        audit.register_verb("quota.create", _("made a quota"))
        audit.register_verb("quota.change", _("changed a quota"))
        audit.register_verb("quota.delete", _("deleted a quota"))
        audit.register_verb("quota.warned", _("warned of a quota"))
        audit.register_verb("rate_limit.create", _("made a rate limit"))
        audit.register_verb("rate_limit.change", _("changed a rate limit"))
        audit.register_verb("rate_limit.delete", _("deleted a rate limit"))
        audit.register_verb("user.create", _("created a user"))
        audit.register_verb("user.change", _("changed a user"))
        audit.register_verb("user.delete", _("deleted a user"))
        audit.register_verb("role.create", _("created a role"))
        audit.register_verb("role.change", _("changed a role"))
        audit.register_verb("role.delete", _("deleted a role"))
        audit.register_verb("privacy.erase", _("erased a person"))
        audit.register_verb("privacy.close", _("closed the account of a person who is to be erased"))
        audit.register_verb("privacy.export", _("exported the data of a person"))
        audit.register_verb("access.denied", _("was refused"))
        audit.register_verb("audit.export", _("exported audit events"))
        audit.register_verb("user.roles", _("changed the roles of a user"))
        audit.register_verb("rights.exceed", _("tried to get beyond their rights"))
        audit.register_verb("grant.give", _("shared something"))
        audit.register_verb("grant.take", _("stopped sharing something"))
