"""Starts the processes of a fleet by forking, so that what they import is imported once.

`python -m tests.chaos.nursery`. A worker takes seconds to load LangChain and milliseconds to be forked, and these tests
kill hundreds of processes. What is forked is the whole process as it would run otherwise: its own connections, threads,
signals and process group.

It reads orders from its standard input and writes answers to its standard output, one JSON object a line:
`{"begin": role, "order": n, "arguments": […], "environ": {…}, "log": file}` → `{"order": n, "pid": n}`, and
`{"ended": pid, "code": n}` whenever one has ended.
"""

from __future__ import annotations

import ctypes
import faulthandler
import importlib
import json
import os
import select
import signal
import sys
import traceback
from collections.abc import Callable, Sequence
from typing import Any

import django

from tests.parts.chaos import faults

LOOK_SECONDS = 0.02
PR_SET_PDEATHSIG = 1


def preload() -> None:
    """Imports what web and workers need; opens nothing that a child would share."""
    os.environ.setdefault("DJANGO_SETTINGS_MODULE", "mutirao.settings")
    django.setup(set_prefix=False)
    for name in ("celery.bin.worker", "uvicorn", "agents.worker.runs", "mutirao.asgi", "mutirao.celery"):
        importlib.import_module(name)


def run_worker(arguments: Sequence[str]) -> None:
    """A Celery worker, with these arguments behind `celery worker`."""
    from agents.worker.process import worker
    from mutirao.celery import app

    # It was made, with a name, in the process that this one was forked from.
    worker.__init__()  # type: ignore[misc]
    app.worker_main(["worker", *arguments])


def run_web(arguments: Sequence[str]) -> None:
    """The web process on a port of 127.0.0.1."""
    import uvicorn

    uvicorn.run(
        "mutirao.asgi:application", host="127.0.0.1", port=int(arguments[0]), access_log=False, log_level="warning",
        timeout_graceful_shutdown=3,
    )  # fmt: skip


def run_preparation(_arguments: Sequence[str]) -> None:
    """Migrations, roles, `admin` and the agents; no static files, as nobody looks at pages."""
    from accounts.roles import ensure_roles
    from accounts.services import ensure_admin
    from agents.definitions.services import sync_agents
    from mutirao.first_data import migrate

    migrate()
    ensure_roles()
    ensure_admin("the-password-of-admin-1")
    sync_agents()


def run_manage(arguments: Sequence[str]) -> None:
    """A management command."""
    from django.core.management import call_command

    call_command(*arguments)


ROLES: dict[str, Callable[[Sequence[str]], None]] = {
    "worker": run_worker, "web": run_web, "preparation": run_preparation, "manage": run_manage,
}  # fmt: skip


def _say(**answer: Any) -> None:
    os.write(1, json.dumps(answer).encode() + b"\n")


def _begin(order: dict[str, Any]) -> int:
    pid = os.fork()
    if pid:
        return pid
    code: Any = 0
    try:
        _become(order["environ"], order["log"])
        ROLES[order["begin"]](order["arguments"])
    except SystemExit as end:
        code = end.code
    except BaseException:
        traceback.print_exc()
        code = 1
    finally:
        sys.stdout.flush()
        sys.stderr.flush()
        os._exit(code if isinstance(code, int) else int(code is not None))


def _become(environ: dict[str, str], log: str) -> None:
    os.setsid()
    if sys.platform == "linux":
        ctypes.CDLL(None).prctl(PR_SET_PDEATHSIG, signal.SIGKILL)
    nothing, file = os.open(os.devnull, os.O_RDONLY), os.open(log, os.O_WRONLY | os.O_APPEND | os.O_CREAT, 0o600)
    for number, target in ((0, nothing), (1, file), (2, file)):
        os.dup2(target, number)
    # Asked by the harness when something has not happened in time: what does every thread do?
    faulthandler.register(signal.SIGUSR2, file=sys.stderr, all_threads=True)
    os.environ.update(environ)
    faults.install(os.environ.get(faults.VARIABLE, ""))


def _reap(running: set[int]) -> None:
    for pid in [*running]:
        ended, status = os.waitpid(pid, os.WNOHANG)
        if ended:
            running.discard(pid)
            _say(ended=pid, code=os.waitstatus_to_exitcode(status))


def main() -> None:
    """Until its standard input ends; then nothing is left."""
    preload()
    running: set[int] = set()
    _say(ready=True)
    rest = b""
    while True:
        if select.select([0], [], [], LOOK_SECONDS)[0]:
            read = os.read(0, 65536)
            if not read:
                break
            *lines, rest = (rest + read).split(b"\n")
            for line in lines:
                order = json.loads(line)
                pid = _begin(order)
                running.add(pid)
                _say(order=order["order"], pid=pid)
        _reap(running)
    for pid in running:
        os.kill(pid, signal.SIGKILL)


if __name__ == "__main__":
    main()
