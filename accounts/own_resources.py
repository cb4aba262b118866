"""The rows that this room brings to the matrix, with those of the libraries and of telemetry, which is below it."""

from __future__ import annotations

from django.utils.translation import gettext_lazy as _

from accounts.resources import Resource, Verb, register_resource

# Below what the rooms of agents bring.
PEOPLE, OBSERVING = 1, 2

USERS = Resource(
    "users", _("Users"),
    {
        Verb.VIEW: ("accounts.view_user",),
        Verb.CHANGE: ("accounts.add_user", "accounts.change_user"),
        Verb.ADMINISTER: ("accounts.delete_user", "accounts.administer_user"),
    },
    {
        Verb.CHANGE: _("Make, change and deactivate accounts, and give roles; never beyond one's own rights."),
        Verb.ADMINISTER: _("Delete accounts, and export and erase what is kept of a person."),
    },
    _("Everybody sees and changes their own profile, never their own rights."),
    rank=PEOPLE,
)  # fmt: skip
ROLES = Resource(
    "roles", _("Roles"),
    {
        Verb.VIEW: ("accounts.view_role",),
        Verb.CHANGE: ("accounts.add_role", "accounts.change_role", "accounts.delete_role"),
    },
    {Verb.CHANGE: _("Make, change and delete roles, with rights that one has oneself.")},
    rank=PEOPLE,
)  # fmt: skip
KEYS = Resource(
    "keys", _("API keys and sessions"),
    {
        Verb.VIEW: (
            "accounts.view_apikey", "accounts.view_apisession", "token_blacklist.view_outstandingtoken",
            "token_blacklist.view_blacklistedtoken",
        ),
        Verb.CHANGE: ("accounts.add_apikey", "accounts.change_apikey", "accounts.change_apisession"),
    },
    {Verb.CHANGE: _("Issue keys for others, revoke theirs, and end their sessions.")},
    _("Everybody makes, rotates and revokes their own keys."),
    rank=PEOPLE,
)  # fmt: skip
LIMITS = Resource(
    "limits", _("Limits and quotas"),
    {
        Verb.VIEW: (
            "accounts.view_ratelimit", "accounts.view_quota", "accounts.view_quotaperiod", "accounts.view_reservation",
        ),
        Verb.CHANGE: (
            "accounts.add_ratelimit", "accounts.change_ratelimit", "accounts.delete_ratelimit", "accounts.add_quota",
            "accounts.change_quota", "accounts.delete_quota",
        ),
    },
    {Verb.VIEW: _("See the limits of everybody, and who has spent what.")},
    _("Everybody sees what they have spent, and of how much."),
    rank=PEOPLE,
)  # fmt: skip
AUDIT = Resource(
    "audit", _("Audit"), {Verb.VIEW: ("accounts.view_auditevent", "accounts.view_auditseal")},
    {Verb.VIEW: _("Read and export the record of who did what.")},
    rank=OBSERVING,
)  # fmt: skip
TELEMETRY = Resource(
    "telemetry", _("Telemetry"),
    {Verb.VIEW: ("telemetry.view_span", "django_celery_results.view_taskresult")},
    {Verb.VIEW: _("See workers, where time went, and what Celery has done.")},
    rank=OBSERVING,
)  # fmt: skip


def register() -> None:
    """Called when the application starts."""
    for resource in (USERS, ROLES, KEYS, LIMITS, AUDIT, TELEMETRY):
        register_resource(resource)
