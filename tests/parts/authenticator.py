"""An authenticator app: the code of a secret at this moment (RFC 6238, SHA-1, 6 digits, 30 seconds)."""

from __future__ import annotations

import base64
import hmac
import struct
import threading
import time

PERIOD = 30
TYPING_SECONDS = 8


def code_of(secret: str) -> str:
    """The code now. `secret` is Base32.

    A code that ends while it is being typed is refused, so near its end this does what people do: it takes the next.
    """
    if (left := PERIOD - time.time() % PERIOD) < TYPING_SECONDS:
        threading.Event().wait(left)
    counter = struct.pack(">Q", int(time.time()) // PERIOD)
    digest = hmac.digest(base64.b32decode(secret), counter, "sha1")
    offset = digest[-1] & 15
    number = struct.unpack(">I", digest[offset : offset + 4])[0] & 0x7FFFFFFF
    return f"{number % 1_000_000:06d}"
