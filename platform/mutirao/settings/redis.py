"""Redis (or Valkey): cache, wake-ups and, unless told otherwise, the broker."""

from __future__ import annotations

from mutirao.secret_files import with_password
from mutirao.settings.environment import env

# `make up` writes this into the environment file; elsewhere it has to be set. An empty one is refused by a check.
# The password may come apart from the address (REDIS_PASSWORD_FILE).
REDIS_URL: str = with_password(env("REDIS_URL", default=""), env("REDIS_PASSWORD", default=""))
# Everything Mutirão keeps in Redis starts with this, so that one server can serve several installations.
REDIS_PREFIX: str = env("MUTIRAO_REDIS_PREFIX", default="mutirao")

CACHES = {
    "default": {
        "BACKEND": "django_redis.cache.RedisCache",
        "LOCATION": REDIS_URL or "redis://127.0.0.1:6379/0",
        "KEY_PREFIX": REDIS_PREFIX,
        "OPTIONS": {
            "SERIALIZER": "django_redis.serializers.json.JSONSerializer",
            "SOCKET_CONNECT_TIMEOUT": 2,
            "SOCKET_TIMEOUT": 2,
        },
    }
}
