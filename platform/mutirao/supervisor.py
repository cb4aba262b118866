"""Keeps a handful of child processes running, prefixes what they print, and leaves none behind.

Imports nothing of Django.
"""

from __future__ import annotations

import ctypes
import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import IO

TICK_SECONDS = 0.1
FIRST_PAUSE_SECONDS = 0.5
LONGEST_PAUSE_SECONDS = 10.0
# A child that ran this long was well: its next restart is prompt again.
WELL_AFTER_SECONDS = 30.0
PR_SET_PDEATHSIG = 1

_libc = ctypes.CDLL(None, use_errno=True) if sys.platform == "linux" else None


def _die_with_parent() -> None:
    """In the child, before it becomes the command: SIGTERM when the supervisor dies, however it dies (Linux only)."""
    if _libc is not None:
        _libc.prctl(PR_SET_PDEATHSIG, signal.SIGTERM)


@dataclass(eq=False)
class Child:
    """One command that shall run. `stop_after` is in seconds: how long it may take to stop politely."""

    name: str
    command: Sequence[str]
    stop_after: float = 10.0
    environ: Mapping[str, str] = field(default_factory=dict)
    process: subprocess.Popen[bytes] | None = None
    starts: int = 0
    started_at: float = 0.0
    start_again_at: float = 0.0
    _pause: float = FIRST_PAUSE_SECONDS

    def start(self, write: Callable[[str, bytes], None]) -> None:
        """Starts it in a session of its own, so that Ctrl-C reaches the supervisor alone."""
        self.process = subprocess.Popen(  # noqa: S603 (our own commands)
            self.command,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            env={**os.environ, **self.environ},
            start_new_session=True,
            preexec_fn=_die_with_parent,
        )
        self.starts += 1
        self.started_at = time.monotonic()
        assert self.process.stdout is not None  # noqa: S101 (for the type checker)
        threading.Thread(target=self._copy, args=(self.process.stdout, write), daemon=True).start()

    def _copy(self, output: IO[bytes], write: Callable[[str, bytes], None]) -> None:
        with output:
            for line in output:
                write(self.name, line)

    @property
    def is_running(self) -> bool:
        return self.process is not None and self.process.poll() is None

    def postpone(self) -> float:
        """Decides when to start it again after it ended; in how many seconds that is."""
        if time.monotonic() - self.started_at > WELL_AFTER_SECONDS:
            self._pause = FIRST_PAUSE_SECONDS
        pause = self._pause
        self._pause = min(self._pause * 2, LONGEST_PAUSE_SECONDS)
        self.start_again_at = time.monotonic() + pause
        return pause

    def signal(self, number: int) -> None:
        """Sends a signal to its whole process group."""
        if self.process is None:
            return
        try:
            os.killpg(self.process.pid, number)
        except (ProcessLookupError, PermissionError):
            return


class Supervisor:
    """Runs children until `stop` is called or a signal arrives. Started in order, stopped in the opposite one."""

    def __init__(self, *, output: IO[str]) -> None:
        self._children: list[Child] = []
        self._output = output
        self._writing = threading.Lock()
        self._stops = 0

    def add(self, child: Child) -> None:
        """Starts a child and keeps it running."""
        self._children.append(child)
        child.start(self._write)

    def has(self, name: str) -> bool:
        """Whether there is a child of this name."""
        return any(child.name == name for child in self._children)

    def say(self, text: str) -> None:
        """Prints a line of the supervisor's own."""
        self._write("up", text.encode() + b"\n")

    def stop(self, *_signal: object) -> None:
        """Ends `run`; the second time, without patience. Safe in a signal handler."""
        self._stops += 1

    def run(self, on_tick: Callable[[], None]) -> None:
        """Watches over the children until it is told to stop, calling `on_tick` ten times a second."""
        while not self._stops:
            self._tend()
            on_tick()
            time.sleep(TICK_SECONDS)

    def stop_all(self) -> None:
        """Stops the children, the last one first; what does not go politely is killed. Nothing is left after it."""
        for child in reversed(self._children):
            child.signal(signal.SIGTERM)
            self._await_end(child)
            # Also after a polite end: whatever it had started itself.
            child.signal(signal.SIGKILL)
        for child in self._children:
            if child.process is not None:
                child.process.wait()

    def _tend(self) -> None:
        now = time.monotonic()
        for child in self._children:
            if child.is_running:
                continue
            if not child.start_again_at:
                code = child.process.returncode if child.process else None
                self.say(f"{child.name} ended with {code}; starting it again in {child.postpone():.1f} s")
            elif now >= child.start_again_at:
                child.start_again_at = 0.0
                child.start(self._write)

    def _await_end(self, child: Child) -> None:
        deadline = time.monotonic() + child.stop_after
        while child.is_running and time.monotonic() < deadline and self._stops < 2:
            time.sleep(0.02)

    def _write(self, name: str, line: bytes) -> None:
        text = line.decode(errors="replace").rstrip()
        with self._writing:
            self._output.write(f"{name:<7}| {text}\n")
            self._output.flush()
