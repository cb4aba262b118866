"""Secrets by file: `NAME_FILE=/run/secrets/name` gives NAME, as container platforms hand secrets over.

Imports nothing of Django: it runs before settings are read. django-environ has the same idea (FileAwareEnv), but only
for names that settings ask for; the keys of model providers are read by their own libraries, from the environment.
"""

from __future__ import annotations

import re
from collections.abc import MutableMapping
from pathlib import Path
from urllib.parse import quote, urlsplit

SUFFIX = "_FILE"
# What has the form of a secret's name; the second is for files that other programs read by themselves.
SECRET = re.compile(r"(_|^)(KEY|KEYS|URL|DSN|TOKEN|SECRET|PASSWORD|PASSPHRASE)_FILE$")
NOT_OURS = re.compile(r"^(AWS_WEB_IDENTITY_|SSL|PG|POSTGRES_|GF_)")


class SecretFileError(Exception):
    """A secret that was to come from a file cannot be had."""


def read_secret_files(environ: MutableMapping[str, str]) -> None:
    """Sets NAME to the text of the file that NAME_FILE names, less white space around it; an empty file sets nothing.

    Raises SecretFileError when the file cannot be read, and when NAME is set to something else.
    """
    for name in [name for name in environ if SECRET.search(name) and not NOT_OURS.match(name)]:
        if environ[name]:
            _read(environ, name.removesuffix(SUFFIX), Path(environ[name]))


def _read(environ: MutableMapping[str, str], name: str, file: Path) -> None:
    try:
        value = file.read_text().strip()
    except (OSError, UnicodeDecodeError) as error:
        reason = getattr(error, "strerror", None) or "it is not text"
        raise SecretFileError(f"{name}_FILE names {file}, which cannot be read: {reason}.") from error
    if not value:
        return
    if environ.get(name) not in (None, "", value):
        raise SecretFileError(f"{name} and {name}_FILE say different things; set one of them.")
    environ[name] = value


def with_password(url: str, password: str) -> str:
    """The address with this password; as it is when there is none to add, or it has one."""
    parts = urlsplit(url)
    if not password or not parts.hostname or parts.password:
        return url
    host = parts.netloc.rpartition("@")[2]
    return parts._replace(netloc=f"{parts.username or ''}:{quote(password, safe='')}@{host}").geturl()
