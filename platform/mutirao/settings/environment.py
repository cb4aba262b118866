"""Where settings come from: the environment, files that it names (NAME_FILE), the file that `make up` writes, defaults.

The file (`${MUTIRAO_HOME}/environment`, mode 0600) holds what `make up` generated on its first run: secrets and
the address of the embedded Valkey, so that every other command in the same folder sees the same platform.
"""

from __future__ import annotations

import os
from pathlib import Path

import environ
from django.core.exceptions import ImproperlyConfigured

from mutirao.secret_files import SecretFileError, read_secret_files

BASE_DIR = Path(__file__).resolve().parents[3]
MUTIRAO_HOME = Path(os.environ.get("MUTIRAO_HOME") or BASE_DIR / "var").resolve()
ENVIRONMENT_FILE = MUTIRAO_HOME / "environment"

try:
    read_secret_files(os.environ)
except SecretFileError as error:
    raise ImproperlyConfigured(str(error)) from error

env = environ.Env()
if ENVIRONMENT_FILE.is_file():
    env.read_env(ENVIRONMENT_FILE, overwrite=False)
