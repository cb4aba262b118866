"""Prepares the environment before Django reads its settings (loaded with `-p tests.environment`).

Without DATABASE_URL and REDIS_URL the suite runs on SQLite and a Valkey of its own; with them it runs there.
"""

from __future__ import annotations

import atexit
import os
import shutil
import sys
import tempfile
from pathlib import Path

from tests import prepared

ROOT = Path(__file__).resolve().parent.parent
HOME = Path(tempfile.mkdtemp(prefix="mutirao-tests-"))
atexit.register(shutil.rmtree, HOME, ignore_errors=True)

os.environ["MUTIRAO_HOME"] = str(HOME)
os.environ["SECRET_KEY"] = "tests-only-secret-key-of-more-than-32-characters"
os.environ["JWT_SIGNING_KEY"] = "tests-only-signing-key-of-more-than-32-characters"
os.environ["MUTIRAO_ENCRYPTION_KEYS"] = "dGVzdHMtb25seS1lbmNyeXB0aW9uLWtleS0zMmJ5dGU="
os.environ["MUTIRAO_HTTPS"] = "0"
os.environ["MUTIRAO_ALLOW_SCRIPTED_MODELS"] = "1"
os.environ["MUTIRAO_REDIS_PREFIX"] = f"tests-{os.getpid()}"
os.environ["LOG_LEVEL"] = os.environ.get("LOG_LEVEL", "WARNING")
os.environ["DJANGO_SETTINGS_MODULE"] = "tests.settings"
for name in ("OPENAI_API_KEY", "OPENAI_BASE_URL", "LANGSMITH_API_KEY", "LANGSMITH_TRACING", "MUTIRAO_DEFAULT_MODEL"):
    os.environ.pop(name, None)
os.environ.pop("EMAIL_URL", None)
# The settings of the first process have set it by the time its parallel parts inherit it; each counts for itself.
os.environ.pop("PROMETHEUS_MULTIPROC_DIR", None)

# Of the whole run: its parts inherit the folder of the first process, which removes it.
os.environ.setdefault(prepared.VARIABLE, str(HOME / "prepared"))

# Parallel parts of one run (pytest-xdist) inherit the Redis of the first process; each has a database of its own there.
if part := os.environ.get("PYTEST_XDIST_WORKER", ""):
    server, _, number = os.environ["REDIS_URL"].rpartition("/")
    os.environ["REDIS_URL"] = f"{server}/{(int(number) - 1 - int(part.removeprefix('gw'))) % 16}"

# The database and the broker that the suite was told to use; empty: SQLite and the embedded Valkey.
GIVEN = {name: os.environ[name] for name in ("DATABASE_URL", "REDIS_URL", "CELERY_BROKER_URL") if os.environ.get(name)}

if "REDIS_URL" not in GIVEN:
    sys.path.insert(0, str(ROOT / "platform"))
    from mutirao.embedded import EmbeddedValkey

    valkey = EmbeddedValkey(directory=HOME / "valkey")
    os.environ["REDIS_URL"] = valkey.start()
    atexit.register(valkey.stop)

if "DATABASE_URL" in GIVEN and not part:
    atexit.register(prepared.forget, GIVEN["DATABASE_URL"])
