"""What people do in this room, as the audit log says it."""

from __future__ import annotations

from django.utils.translation import gettext_lazy as _

VERBS = {
    "auth.token_reuse": _("used a refresh token again"),
    "auth.sign_in": _("signed in"),
    "auth.sign_out": _("signed out"),
    "auth.password_change": _("changed a password"),
    "auth.password_reset": _("reset a password by mail"),
    "auth.second_factor_on": _("turned on the second factor"),
    "auth.second_factor_off": _("turned off the second factor"),
    "auth.second_factor_reset": _("reset a second factor"),
    "auth.recovery_codes": _("made new recovery codes"),
    "user.create": _("created a user"),
    "user.change": _("changed a user"),
    "user.delete": _("deleted a user"),
    "user.roles": _("changed the roles of a user"),
    "role.create": _("created a role"),
    "role.change": _("changed a role"),
    "role.delete": _("deleted a role"),
    "rights.exceed": _("tried to get beyond their rights"),
    "grant.give": _("shared something"),
    "grant.take": _("stopped sharing something"),
    "api_key.issue": _("issued an API key"),
    "api_key.revoke": _("revoked an API key"),
    "api_key.rotate": _("rotated an API key"),
    "api_key.use": _("used an API key"),
    "api_session.end": _("ended an API session"),
    "quota.create": _("made a quota"),
    "quota.change": _("changed a quota"),
    "quota.delete": _("deleted a quota"),
    "quota.warned": _("warned of a quota"),
    "rate_limit.create": _("made a rate limit"),
    "rate_limit.change": _("changed a rate limit"),
    "rate_limit.delete": _("deleted a rate limit"),
    "access.denied": _("was refused"),
    "audit.export": _("exported audit events"),
    "privacy.erase": _("erased a person"),
    "privacy.close": _("closed the account of a person who is to be erased"),
    "privacy.export": _("exported the data of a person"),
}
