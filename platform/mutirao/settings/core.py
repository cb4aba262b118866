"""Django itself."""

from __future__ import annotations

from pathlib import Path

from mutirao.settings.environment import BASE_DIR, MUTIRAO_HOME, env

# Only for commands that need no secret (makemigrations, collectstatic, type checking). The system checks refuse
# to start a server with it, see mutirao.checks.
INSECURE_KEY = "insecure-development-key-no-server-starts-with-it"

SECRET_KEY: str = env("SECRET_KEY", default=INSECURE_KEY)
DEBUG: bool = env.bool("DEBUG", default=False)
ALLOWED_HOSTS: list[str] = env.list("ALLOWED_HOSTS", default=["127.0.0.1", "localhost", "[::1]"])
CSRF_TRUSTED_ORIGINS: list[str] = env.list("CSRF_TRUSTED_ORIGINS", default=[])

ROOT_URLCONF = "mutirao.urls"
ASGI_APPLICATION = "mutirao.asgi.application"
WSGI_APPLICATION = "mutirao.wsgi.application"
DEFAULT_AUTO_FIELD = "django.db.models.BigAutoField"

# Libraries first: their admins have registered when ours replace some of them.
INSTALLED_APPS = [
    "unfold.apps.BasicAppConfig",  # the default one would put its own site in the place of ours
    "mutirao.apps.AdminConfig",
    "django.contrib.auth",
    "django.contrib.contenttypes",
    "django.contrib.sessions",
    "django.contrib.messages",
    "django.contrib.staticfiles",
    "django.contrib.humanize",
    "django_htmx",
    "csp",
    "allauth",
    "allauth.account",
    "allauth.mfa",
    "allauth.usersessions",
    "guardian",
    "rest_framework",
    "rest_framework_simplejwt",
    "rest_framework_simplejwt.token_blacklist",
    "django_filters",
    "drf_spectacular",
    "drf_spectacular_sidecar",
    "django_celery_results",
    "django_structlog",
    "foundation",
    "telemetry",
    "accounts",
    "agents.definitions",
    "agents.tasks",
    "agents.schedules",
    "agents.webhooks",
    "agents.circuits",
    "agents.gateway",
    "agents.cache",
    "agents.memory",
    "agents.tools",
    "agents.runtime",
    "agents.worker",
    "agents.catalog",
    "agents.api",
    "mutirao",
    *env.list("MUTIRAO_APPS", default=[]),
]

MIDDLEWARE = [
    "foundation.middleware.RequestIdMiddleware",
    "telemetry.middleware.StoryMiddleware",
    "foundation.middleware.PageSecurityMiddleware",
    "foundation.middleware.PageSessionMiddleware",
    "foundation.middleware.PageLocaleMiddleware",
    "foundation.middleware.PageCommonMiddleware",
    "foundation.middleware.PageCsrfMiddleware",
    "foundation.middleware.PageAuthenticationMiddleware",
    "foundation.middleware.PageLanguageMiddleware",
    "foundation.middleware.PageMessageMiddleware",
    "foundation.middleware.PageXFrameOptionsMiddleware",
    "foundation.middleware.PageContentSecurityMiddleware",
    "django_htmx.middleware.HtmxMiddleware",
    "allauth.account.middleware.AccountMiddleware",
    "accounts.middleware.SecondFactorMiddleware",
    "foundation.middleware.PageUnavailableMiddleware",
]

# They look for names; ours are subclasses of those classes. mutirao.checks.page_protection looks for the classes.
SILENCED_SYSTEM_CHECKS = ["security.W001", "security.W002", "security.W003"]

TEMPLATES = [
    {
        "BACKEND": "django.template.backends.django.DjangoTemplates",
        "DIRS": [BASE_DIR / "templates"],
        "APP_DIRS": True,
        "OPTIONS": {
            "context_processors": [
                "django.template.context_processors.request",
                "django.contrib.auth.context_processors.auth",
                "django.contrib.messages.context_processors.messages",
                "mutirao.pages.navigation.navigation",
                "mutirao.pages.banner.quota_banner",
            ],
        },
    },
]

LANGUAGE_CODE = "en"
LANGUAGES = [("en", "English"), ("pt-br", "Português (Brasil)")]
LOCALE_PATHS = [BASE_DIR / "locale"]
TIME_ZONE = "UTC"
USE_I18N = True
USE_TZ = True

STATIC_URL = "static/"
# In an image they are collected while it is built, beside the code.
STATIC_ROOT = Path(env("MUTIRAO_STATIC_ROOT", default=str(MUTIRAO_HOME / "static")))
STATICFILES_DIRS = [BASE_DIR / "static"]

# A body larger than this is refused with 413 before it is parsed.
DATA_UPLOAD_MAX_MEMORY_SIZE: int = env.int("MUTIRAO_MAX_BODY_BYTES", default=1_000_000)

# HTTPS is the default everywhere but on the machine of `make up`, which serves plain HTTP on 127.0.0.1.
HTTPS: bool = env.bool("MUTIRAO_HTTPS", default=True)
SESSION_COOKIE_SECURE = HTTPS
CSRF_COOKIE_SECURE = HTTPS
SECURE_SSL_REDIRECT: bool = env.bool("SECURE_SSL_REDIRECT", default=HTTPS)
SECURE_REDIRECT_EXEMPT = [r"^healthz$", r"^readyz$", r"^metrics$"]
SECURE_HSTS_SECONDS: int = env.int("SECURE_HSTS_SECONDS", default=31_536_000 if HTTPS else 0)
SECURE_HSTS_INCLUDE_SUBDOMAINS = HTTPS
SECURE_HSTS_PRELOAD = HTTPS
SECURE_REFERRER_POLICY = "same-origin"
X_FRAME_OPTIONS = "DENY"
# How many reverse proxies stand before the web process; with none, forwarded headers are not believed.
TRUSTED_PROXIES: int = env.int("MUTIRAO_TRUSTED_PROXIES", default=0)
if TRUSTED_PROXIES:
    SECURE_PROXY_SSL_HEADER = ("HTTP_X_FORWARDED_PROTO", "https")
