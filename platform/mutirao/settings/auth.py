"""Who a caller is."""

from __future__ import annotations

from datetime import timedelta

from mutirao.settings.core import INSECURE_KEY
from mutirao.settings.environment import env

AUTH_USER_MODEL = "accounts.User"
LOGIN_URL = "account_login"
LOGIN_REDIRECT_URL = "pages:overview"
AUTHENTICATION_BACKENDS = [
    "accounts.backends.PasswordBackend",  # by name or mail
    "guardian.backends.ObjectPermissionBackend",
]
PASSWORD_HASHERS = [
    "django.contrib.auth.hashers.ScryptPasswordHasher",
    "django.contrib.auth.hashers.PBKDF2PasswordHasher",
]
AUTH_PASSWORD_VALIDATORS = [
    {"NAME": "django.contrib.auth.password_validation.UserAttributeSimilarityValidator"},
    {"NAME": "django.contrib.auth.password_validation.MinimumLengthValidator", "OPTIONS": {"min_length": 10}},
    {"NAME": "django.contrib.auth.password_validation.CommonPasswordValidator"},
    {"NAME": "django.contrib.auth.password_validation.NumericPasswordValidator"},
]

# What encrypts secrets at rest: Fernet keys, the first encrypts, all decrypt.
ENCRYPTION_KEYS: list[str] = env.list("MUTIRAO_ENCRYPTION_KEYS", default=[])

ANONYMOUS_USER_NAME = None  # guardian: no anonymous row
GUARDIAN_MONKEY_PATCH_USER = False

JWT_SIGNING_KEY: str = env("JWT_SIGNING_KEY", default=INSECURE_KEY)
SIMPLE_JWT = {
    "ALGORITHM": "HS256",
    "SIGNING_KEY": JWT_SIGNING_KEY,
    "ISSUER": "mutirao",
    "AUDIENCE": "mutirao-api",
    "ACCESS_TOKEN_LIFETIME": timedelta(minutes=5),
    "REFRESH_TOKEN_LIFETIME": timedelta(days=14),
    "ROTATE_REFRESH_TOKENS": True,
    "BLACKLIST_AFTER_ROTATION": True,
    "CHECK_REVOKE_TOKEN": True,
    "UPDATE_LAST_LOGIN": False,
}

# Who must have a second factor: nobody (empty), administrators, staff, everyone. See accounts.second_factor.
REQUIRE_SECOND_FACTOR: str = env("MUTIRAO_REQUIRE_SECOND_FACTOR", default="")

# The password of the user `admin` that the first `make up` makes; empty: a random one, printed once.
ADMIN_PASSWORD: str = env("MUTIRAO_ADMIN_PASSWORD", default="")
