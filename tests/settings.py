"""The platform's settings, with what makes tests fast and keeps them to themselves."""

from mutirao.settings import *  # noqa: F403
from mutirao.settings import DATABASES
from mutirao.settings.environment import MUTIRAO_HOME

PASSWORD_HASHERS = ["django.contrib.auth.hashers.MD5PasswordHasher"]
SECURE_SSL_REDIRECT = False
AGENT_CACHE_SECONDS = 0
# Tests that count calls count what reaches the provider; tests of the cache switch it on.
CACHE_MODE = "off"

if DATABASES["default"]["ENGINE"].endswith("sqlite3"):
    # A file, because threads of one test share it; an in-memory database would be one connection.
    DATABASES["default"]["TEST"] = {"NAME": str(MUTIRAO_HOME / "test.sqlite3")}
