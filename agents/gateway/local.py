"""Where the local model answers. One process per RUN_DIR serves it; it is started on first use."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import threading
import time
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from django.conf import settings
from django.utils.translation import gettext as _

from agents.gateway.exceptions import ModelUnavailable
from agents.gateway.providers import require_local_packages

ANNOUNCEMENT: Final = "local-model.json"
WANTED: Final = "local-model.wanted"
LOCK: Final = "local-model.lock"
LOG: Final = "local-model.log"
POLL_SECONDS: Final = 0.05

_starting = threading.Lock()
_own: list[subprocess.Popen[bytes]] = []


@dataclass(frozen=True, slots=True)
class Server:
    """A running model server: its base URL (without /v1), process and bearer token."""

    url: str
    pid: int
    token: str


def ensure_server(*, within: float | None = None) -> Server:
    """The local model's server, started when needed within so many seconds. Raises GatewayError saying why not."""
    if settings.LOCAL_MODEL_URL:
        return Server(settings.LOCAL_MODEL_URL.rstrip("/"), 0, os.environ.get("MUTIRAO_LOCAL_MODEL_TOKEN", ""))
    server = announced()
    if server is not None:
        return server
    require_local_packages()
    limit = settings.LOCAL_MODEL_START_SECONDS
    return _wait(time.monotonic() + (limit if within is None else min(within, limit)))


def announced() -> Server | None:
    """The server that says it is ready, unless it is dead."""
    try:
        said = json.loads((Path(settings.RUN_DIR) / ANNOUNCEMENT).read_text())
        server = Server(str(said["url"]), int(said["pid"]), str(said["token"]))
    except (OSError, ValueError, KeyError, TypeError):
        return None
    return server if is_alive(server.pid) else None


def is_alive(pid: int) -> bool:
    """Whether there is such a process."""
    if pid <= 0:
        return False
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    except PermissionError:
        return True
    return True


def has_supervisor() -> bool:
    """Whether `manage.py up` watches over this RUN_DIR and starts what is wanted."""
    try:
        return is_alive(int((Path(settings.RUN_DIR) / "supervisor.pid").read_text()))
    except (OSError, ValueError):
        return False


def _wait(ends: float) -> Server:
    directory = Path(settings.RUN_DIR)
    directory.mkdir(parents=True, exist_ok=True)
    (directory / WANTED).touch()
    while time.monotonic() < ends:
        server = announced()
        if server is not None:
            return server
        if not has_supervisor():
            _start_own(directory)
        time.sleep(POLL_SECONDS)
    raise ModelUnavailable(_("The local model was not ready in time; see %(log)s.") % {"log": directory / LOG})


def _start_own(directory: Path) -> None:
    with _starting:
        code = _own[-1].poll() if _own else 0
        if code is None:
            return
        if code:
            _own.clear()
            raise ModelUnavailable(
                _("The local model ended with %(code)d; see %(log)s.") % {"code": code, "log": directory / LOG}
            )
        with (directory / LOG).open("ab") as log:
            command = [sys.executable, "-m", "django", "serve_local_model", "--only-if-free"]
            _own[:] = [subprocess.Popen(command, stdin=subprocess.DEVNULL, stdout=log, stderr=log)]  # noqa: S603
