"""What a process holds in memory."""

from __future__ import annotations

import contextlib
import ctypes
import gc

import psutil

MEGABYTE = 1_000_000


def resident_mb() -> float:
    """Megabytes of this process.

    Pages of files are not counted (SQLite maps its own, which are the system's to take back), nor what malloc could
    give back to the system.
    """
    gc.collect()
    with contextlib.suppress(OSError, AttributeError):  # where there is no glibc
        ctypes.CDLL("libc.so.6").malloc_trim(0)
    memory = psutil.Process().memory_info()
    return (memory.rss - getattr(memory, "shared", 0)) / MEGABYTE
