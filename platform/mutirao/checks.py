"""What the environment has to give, as Django system checks: a server with a wrong one does not start.

`manage.py check`, `up`, the web process and the worker run them; commands that need no secret do not.
"""

from __future__ import annotations

from collections.abc import Sequence
from decimal import Decimal
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

from cryptography.fernet import Fernet
from django.apps import AppConfig
from django.apps import apps as django_apps
from django.conf import settings
from django.core.checks import CheckMessage, Error, Tags, register
from django.core.checks import Warning as CheckWarning
from django.middleware.clickjacking import XFrameOptionsMiddleware
from django.middleware.csrf import CsrfViewMiddleware
from django.middleware.security import SecurityMiddleware
from django.utils.module_loading import import_string

from accounts import seals
from accounts.limiting import SCOPES
from accounts.rates import parse_rate
from accounts.second_factor import CHOICES as SECOND_FACTOR_CHOICES
from agents.definitions.cache_policy import cache_policy_errors
from agents.gateway.embeddings import validate_embeddings_name
from agents.gateway.exceptions import GatewayError, MissingProviderPackage
from foundation.addresses import parse_allowed
from mutirao.settings.core import INSECURE_KEY
from telemetry.access import networks

Apps = Sequence[AppConfig] | None
ENVIRONMENT = "environment"
REDIS_SCHEMES = {"redis", "rediss", "unix"}
BROKER_SCHEMES = {"redis", "rediss", "amqp", "amqps", "memory"}


@register(ENVIRONMENT)
def secrets(app_configs: Apps, **kwargs: Any) -> list[CheckMessage]:
    """SECRET_KEY and JWT_SIGNING_KEY are set, long and different."""
    found: list[CheckMessage] = []
    for number, name in enumerate(("SECRET_KEY", "JWT_SIGNING_KEY"), start=1):
        value = getattr(settings, name)
        if value == INSECURE_KEY:
            found.append(_error(f"{name} is not set.", "Set it, or run `make up`, which makes one.", number))
        elif len(value) < 32:
            found.append(_error(f"{name} is shorter than 32 characters.", "Use a longer one.", number))
    if settings.SECRET_KEY == settings.JWT_SIGNING_KEY != INSECURE_KEY:
        found.append(_error("JWT_SIGNING_KEY equals SECRET_KEY.", "Use two different keys.", 3))
    return found


@register(ENVIRONMENT)
def addresses(app_configs: Apps, **kwargs: Any) -> list[CheckMessage]:
    """REDIS_URL and CELERY_BROKER_URL are set and of a kind that is supported."""
    found: list[CheckMessage] = []
    if not settings.REDIS_URL:
        hint = "Set it to redis://host:6379/0, or run `make up`, which starts an embedded Valkey."
        found.append(_error("REDIS_URL is not set.", hint, 4))
    elif urlsplit(settings.REDIS_URL).scheme not in REDIS_SCHEMES:
        found.append(_error("REDIS_URL is not a redis://, rediss:// or unix:// address.", "Correct it.", 4))
    if urlsplit(settings.CELERY_BROKER_URL).scheme not in BROKER_SCHEMES:
        found.append(_error("CELERY_BROKER_URL is not a redis:// or amqp:// address.", "Correct it.", 5))
    return found


@register(ENVIRONMENT)
def default_model(app_configs: Apps, **kwargs: Any) -> list[CheckMessage]:
    """MUTIRAO_DEFAULT_MODEL has LangChain's form."""
    provider, _, name = settings.DEFAULT_MODEL.partition(":")
    if provider and name:
        return []
    return [_error("MUTIRAO_DEFAULT_MODEL is not of the form provider:model.", "For example openai:gpt-4o-mini.", 6)]


@register(ENVIRONMENT)
def token_rotation(app_configs: Apps, **kwargs: Any) -> list[CheckMessage]:
    """Refresh tokens rotate only when the blacklist app is installed; without it simplejwt says nothing."""
    if django_apps.is_installed("rest_framework_simplejwt.token_blacklist"):
        return []
    return [_error("The token blacklist app is missing.", "Add rest_framework_simplejwt.token_blacklist.", 7)]


@register(ENVIRONMENT)
def encryption_keys(app_configs: Apps, **kwargs: Any) -> list[CheckMessage]:
    """MUTIRAO_ENCRYPTION_KEYS has at least one key, and every one is a Fernet key."""
    hint = "Make one with: python -c 'from cryptography.fernet import Fernet; print(Fernet.generate_key().decode())'"
    if not settings.ENCRYPTION_KEYS:
        return [_error("MUTIRAO_ENCRYPTION_KEYS is not set.", f"{hint}; or run `make up`, which makes one.", 8)]
    try:
        for key in settings.ENCRYPTION_KEYS:
            Fernet(key)
    except ValueError:
        return [_error("MUTIRAO_ENCRYPTION_KEYS has something that is no Fernet key.", hint, 9)]
    return []


@register(Tags.security, deploy=True)
def page_protection(app_configs: Apps, **kwargs: Any) -> list[CheckMessage]:
    """Django's own W001 to W003 look for the names of its classes; what stands here are subclasses of them."""
    classes = [import_string(name) for name in settings.MIDDLEWARE]
    return [
        CheckWarning(
            f"No {wanted.__name__} protects the pages.", hint="Put it back into MIDDLEWARE.", id="mutirao.W001"
        )
        for wanted in (SecurityMiddleware, XFrameOptionsMiddleware, CsrfViewMiddleware)
        if not any(isinstance(found, type) and issubclass(found, wanted) for found in classes)
    ]


@register(Tags.security, deploy=True)
def https(app_configs: Apps, **kwargs: Any) -> list[CheckMessage]:
    """Outside of `make up` everything is served over HTTPS."""
    if settings.HTTPS and settings.SECURE_HSTS_SECONDS:
        return []
    hint = "Set MUTIRAO_HTTPS=1 and leave SECURE_HSTS_SECONDS above zero."
    return [CheckWarning("Cookies and pages are not kept to HTTPS.", hint=hint, id="mutirao.W002")]


@register(ENVIRONMENT)
def telemetry(app_configs: Apps, **kwargs: Any) -> list[CheckMessage]:
    """Who may read the metrics, and where errors and traces go, can be understood."""
    found: list[CheckMessage] = []
    try:
        networks(tuple(settings.METRICS_ALLOW))
    except ValueError as error:
        found.append(_error(f"MUTIRAO_METRICS_ALLOW: {error}.", "For example 10.0.0.0/8,192.0.2.7.", 12))
    if settings.SENTRY_PROBLEM:
        found.append(_error("SENTRY_DSN is not a Sentry address.", "Copy it from the project's settings.", 10))
    if settings.LANGSMITH_TRACING and not settings.LANGSMITH_HAS_KEY:
        found.append(_error("LANGSMITH_TRACING is on without LANGSMITH_API_KEY.", "Set the key, or turn it off.", 11))
    return found


@register(ENVIRONMENT)
def egress(app_configs: Apps, **kwargs: Any) -> list[CheckMessage]:
    """What is open to requests of users can be understood."""
    found: list[CheckMessage] = []
    try:
        parse_allowed(tuple(settings.EGRESS_ALLOWED_HOSTS))
    except ValueError as error:
        found.append(_error(f"MUTIRAO_EGRESS_ALLOWED_HOSTS: {error}.", "For example 10.1.0.0/16,hooks.internal.", 13))
    if settings.EGRESS_CA_FILE and not Path(settings.EGRESS_CA_FILE).is_file():
        found.append(_error("MUTIRAO_EGRESS_CA_FILE is not there.", "Name a file of certificates (PEM).", 14))
    return found


@register(ENVIRONMENT)
def audit_seals(app_configs: Apps, **kwargs: Any) -> list[CheckMessage]:
    """How often the audit log is sealed, how long it is kept and where seals go can be understood."""
    found = [
        _error(f"MUTIRAO_AUDIT_SEALS: {problem}.", "For example log,file:/var/lib/seals.jsonl.", 40)
        for problem in map(seals.problem_with, settings.AUDIT_SEALS)
        if problem
    ]
    if not settings.AUDIT_SEAL_HOURS > 0:
        found.append(_error("MUTIRAO_AUDIT_SEAL_HOURS is not above zero.", "For example 1.", 41))
    if settings.KEEP_AUDIT_DAYS < 0:
        found.append(_error("MUTIRAO_KEEP_AUDIT_DAYS is below zero.", "0 keeps audit events for ever.", 42))
    return [*found]


@register(ENVIRONMENT)
def limits(app_configs: Apps, **kwargs: Any) -> list[CheckMessage]:
    """Rates can be understood, scopes are known, and what is reserved is an amount."""
    found: list[CheckMessage] = []
    for name in ("RATE_ADDRESS", "RATE_SIGN_IN", "RATE_USER", "RATE_KEY"):
        try:
            if text := getattr(settings, name):
                parse_rate(text)
        except ValueError as error:
            found.append(_error(f"MUTIRAO_{name}: {error}", "For example 100/m; empty for no limit.", 30))
    if unknown := sorted(set(settings.RATE_FAIL_CLOSED) - set(SCOPES)):
        hint = f"There are {', '.join(SCOPES)}."
        found.append(_error(f"MUTIRAO_RATE_FAIL_CLOSED: there is no scope {unknown[0]!r}.", hint, 31))
    for name in ("QUOTA_RESERVE_TOKENS", "QUOTA_RESERVE_COST"):
        value = Decimal(getattr(settings, name))
        if not value.is_finite() or value <= 0:
            found.append(_error(f"MUTIRAO_{name} is not above zero.", "Say what a usual task spends.", 32))
    return found


@register(ENVIRONMENT)
def embeddings(app_configs: Apps, **kwargs: Any) -> list[CheckMessage]:
    """MUTIRAO_EMBEDDINGS names a model that can be used here."""
    try:
        validate_embeddings_name(settings.EMBEDDINGS_MODEL)
    except MissingProviderPackage as error:
        hint = "Without it answers are not found by their meaning."
        return [CheckWarning(f"MUTIRAO_EMBEDDINGS: {error}", hint=hint, id="mutirao.W050")]
    except GatewayError as error:
        return [_error(f"MUTIRAO_EMBEDDINGS: {error}", "For example local:minilm-l6-v2-int8.", 50)]
    return []


@register(ENVIRONMENT)
def answer_cache(app_configs: Apps, **kwargs: Any) -> list[CheckMessage]:
    """What agents that say nothing else have as their cache policy is one, and its bounds are above nothing."""
    policy = {
        "mode": settings.CACHE_MODE, "ttl": settings.CACHE_TTL_SECONDS, "stale": settings.CACHE_STALE_SECONDS,
        "error_target": settings.CACHE_ERROR_TARGET, "shadow": settings.CACHE_SHADOW_SHARE,
    }  # fmt: skip
    hint = "They are the variables MUTIRAO_CACHE_MODE, _TTL, _STALE, _ERROR_TARGET and _SHADOW."
    bounds = [name for name in ("MOST_IN_SCOPE", "MOST_VECTORS") if getattr(settings, f"CACHE_{name}") < 1]
    return [
        *(_error(f"The answer cache: {sentence}", hint, 51) for sentence in cache_policy_errors(policy)),
        *(_error(f"MUTIRAO_CACHE_{name} is below 1.", "Leave it away for the usual number.", 52) for name in bounds),
    ]


@register(ENVIRONMENT)
def second_factor(app_configs: Apps, **kwargs: Any) -> list[CheckMessage]:
    """MUTIRAO_REQUIRE_SECOND_FACTOR is one of the words."""
    if settings.REQUIRE_SECOND_FACTOR in SECOND_FACTOR_CHOICES:
        return []
    words = ", ".join(filter(None, SECOND_FACTOR_CHOICES))
    return [_error("MUTIRAO_REQUIRE_SECOND_FACTOR is none of its words.", f"Leave it empty, or use: {words}.", 21)]


def _error(sentence: str, hint: str, number: int) -> Error:
    return Error(sentence, hint=hint, id=f"mutirao.E{number:03d}")
