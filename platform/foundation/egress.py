"""The one door for traffic to addresses that users, agents or data supply.

`send` goes to exactly the address that was looked at: the name is resolved once, all it leads to has to be public (or
on the installation's allow-list), the connection is made to that address, and TLS, SNI and Host still speak of the
name. So a name that points elsewhere a moment later (DNS rebinding) leads nowhere. No redirect is followed, no proxy
or .netrc of the environment is used, and time and size are bounded as a whole.

Built on httpcore, the part of httpx that connects: its network backend is the documented place for this.
"""

from __future__ import annotations

import socket
import ssl
import threading
import time
from collections.abc import Iterable, Mapping
from concurrent.futures import Future
from concurrent.futures import TimeoutError as FutureTimeoutError
from dataclasses import dataclass
from functools import lru_cache
from typing import Any

import httpcore
import httpx
from django.conf import settings
from django.utils.translation import gettext as _

from foundation.addresses import Allowed, Ip, is_never, is_public, parse_allowed

LONGEST_URL = 2000
USER_AGENT = "Mutirao/1"
# A slow reader of what is sent may not make one write last for ever.
PIECE = 16_384


class EgressError(Exception):
    """The address could not be asked."""

    def __init__(self, message: str | None = None) -> None:
        super().__init__(message or self.__doc__)


class NotAllowed(EgressError):
    """Nothing is sent to this address."""


class Unresolvable(EgressError):
    """The name has no address."""


class Unreachable(EgressError):
    """No connection could be made, or it broke."""


class TookTooLong(EgressError):
    """The other side did not answer in time."""


class TooLarge(EgressError):
    """The answer is larger than is read."""


@dataclass(frozen=True, slots=True)
class Timeouts:
    """In seconds: for the connection, for each wait for bytes, and for everything together, resolving included."""

    connect: float = 5.0
    read: float = 10.0
    total: float = 20.0


@dataclass(frozen=True, slots=True)
class Answer:
    """What came back. `body` is as it was sent, not decompressed; `is_cut`: there was more."""

    status: int
    headers: Mapping[str, str]
    body: bytes
    is_cut: bool = False


@dataclass(frozen=True, slots=True)
class Target:
    """An address that has the right form. `must_be_listed`: public is not enough (plain HTTP, an unusual port)."""

    url: httpx.URL
    port: int
    must_be_listed: bool

    @property
    def host(self) -> str:
        """The name or number, in small letters, without brackets or final dot."""
        return self.url.raw_host.decode("ascii").lower().rstrip(".")


def check_url(url: str) -> Target:
    """The address, when its form is one that is sent to; no name is resolved. Raises NotAllowed."""
    if len(url) > LONGEST_URL:
        raise NotAllowed(_("The address is longer than %(most)d characters.") % {"most": LONGEST_URL})
    try:
        parsed = httpx.URL(url)
    except (httpx.InvalidURL, ValueError) as error:
        raise NotAllowed(_("This is no address that a request can be sent to.")) from error
    target = _target(parsed)
    literal = _literal(target.host)
    if literal is not None:
        _check_addresses(target, [literal])
    return target


def check_destination(url: str, *, seconds: float = 5.0) -> Target:
    """The same, and the name is resolved and its addresses looked at. Raises NotAllowed, Unresolvable, TookTooLong."""
    target = check_url(url)
    _addresses_of(target, Deadline(seconds))
    return target


def send(
    method: str,
    url: str,
    *,
    headers: Mapping[str, str] | None = None,
    content: bytes = b"",
    timeouts: Timeouts | None = None,
    most_bytes: int = 1_000_000,
    cut: bool = False,
) -> Answer:
    """Asks the address once and gives its answer, whatever the status; a redirect is an answer like any other.

    Of a body beyond `most_bytes` nothing is kept (TooLarge), or with `cut` its beginning. Raises EgressError.
    """
    target = check_url(url)
    limits = timeouts or Timeouts()
    backend = _PinnedBackend(target, Deadline(limits.total))
    try:
        # One connection for one request: nothing is shared between two names, or two callers.
        with (
            httpcore.ConnectionPool(
                ssl_context=_tls(settings.EGRESS_CA_FILE), network_backend=backend, max_connections=1
            ) as pool,
            pool.stream(
                method,
                _core_url(target),
                headers=_headers(target, headers or {}),
                content=content,
                extensions={"timeout": {"connect": limits.connect, "read": limits.read, "write": limits.read}},
            ) as response,
        ):
            body, is_cut = _read(response.iter_stream(), most_bytes, cut=cut)
            return Answer(response.status, _plain_headers(response.headers), body, is_cut)
    except httpcore.TimeoutException as error:
        raise TookTooLong(_("The other side did not answer in time.")) from error
    except (httpcore.NetworkError, httpcore.ProtocolError, ssl.SSLError, OSError) as error:
        raise Unreachable(_("No connection, or it broke: %(why)s") % {"why": _why(error)}) from error


def allowed() -> Allowed:
    """What this installation has opened besides public addresses. Raises ValueError for what is neither a network nor
    a name."""
    return parse_allowed(tuple(settings.EGRESS_ALLOWED_HOSTS))


class Deadline:
    """The end of everything together."""

    def __init__(self, seconds: float) -> None:
        self._at = time.monotonic() + seconds

    def left(self, most: float | None = None) -> float:
        """Seconds that remain, at most `most`. Raises httpcore.ReadTimeout when there are none."""
        left = self._at - time.monotonic()
        if left <= 0:
            raise httpcore.ReadTimeout
        return left if most is None else min(left, most)


class _PinnedBackend(httpcore.NetworkBackend):
    """Connects to the addresses that were looked at, and to nothing else."""

    def __init__(self, target: Target, deadline: Deadline) -> None:
        self._target, self._deadline = target, deadline
        self._inner = httpcore.SyncBackend()

    def connect_tcp(
        self, host: str, port: int, timeout: float | None = None, local_address: str | None = None,
        socket_options: Iterable[Any] | None = None,
    ) -> httpcore.NetworkStream:  # fmt: skip
        """Resolves, looks, connects. Tries the addresses in their order."""
        return _BoundedStream(_connected(self._inner, self._target, self._deadline, timeout), self._deadline)


def connected(url: str, host: str, port: int, *, seconds: float) -> socket.socket:
    """A connection to this address for a client that keeps its connections; every new one is looked at anew. `host` and
    `port` are where the client believes that it connects to. The client has to follow no redirects, use no proxy, take
    `tls()` and bound its times itself. Raises EgressError.
    """
    target = check_url(url)
    if (host.lower().rstrip("."), port) != (target.host, target.port):
        raise NotAllowed(_("This is no address that a request can be sent to."))
    try:
        stream = _connected(httpcore.SyncBackend(), target, Deadline(seconds), seconds)
    except httpcore.TimeoutException as error:
        raise TookTooLong(_("The other side did not answer in time.")) from error
    except httpcore.NetworkError as error:
        raise Unreachable(_("No connection, or it broke: %(why)s") % {"why": _why(error)}) from error
    found: socket.socket = stream.get_extra_info("socket")
    return found


def tls() -> ssl.SSLContext:
    """Whom such connections trust: the public authorities, and the installation's own."""
    return _tls(settings.EGRESS_CA_FILE)


def _connected(
    backend: httpcore.SyncBackend, target: Target, deadline: Deadline, timeout: float | None
) -> httpcore.NetworkStream:
    """To the first of the addresses that answers."""
    failure: Exception | None = None
    for address in _addresses_of(target, deadline):
        try:
            return backend.connect_tcp(str(address), target.port, deadline.left(timeout))
        except (httpcore.ConnectError, httpcore.ConnectTimeout) as error:
            failure = error
    raise failure or httpcore.ConnectError(_("The name has no address."))


class _BoundedStream(httpcore.NetworkStream):
    """A connection on which no wait goes past the deadline: bytes that come one by one do not start the clock anew."""

    def __init__(self, inner: httpcore.NetworkStream, deadline: Deadline) -> None:
        self._inner, self._deadline = inner, deadline

    def read(self, max_bytes: int, timeout: float | None = None) -> bytes:
        """See NetworkStream."""
        return self._inner.read(max_bytes, self._deadline.left(timeout))

    def write(self, buffer: bytes, timeout: float | None = None) -> None:
        """See NetworkStream."""
        for start in range(0, len(buffer), PIECE):
            self._inner.write(buffer[start : start + PIECE], self._deadline.left(timeout))

    def close(self) -> None:
        """See NetworkStream."""
        self._inner.close()

    def start_tls(
        self, ssl_context: ssl.SSLContext, server_hostname: str | None = None, timeout: float | None = None
    ) -> httpcore.NetworkStream:
        """See NetworkStream. The name, not the number, is what the certificate has to be for."""
        secure = self._inner.start_tls(ssl_context, server_hostname, self._deadline.left(timeout))
        return _BoundedStream(secure, self._deadline)

    def get_extra_info(self, info: str) -> Any:
        """See NetworkStream."""
        return self._inner.get_extra_info(info)


def _target(url: httpx.URL) -> Target:
    if url.scheme not in ("https", "http"):
        raise NotAllowed(_("The address has to begin with https://."))
    if url.scheme == "http" and not settings.EGRESS_ALLOW_HTTP:
        raise NotAllowed(_("The address has to begin with https://."))
    if not url.host:
        raise NotAllowed(_("The address has no host."))
    if url.userinfo:
        raise NotAllowed(_("The address may not hold a user name or a password."))
    port = url.port if url.port is not None else {"https": 443, "http": 80}[url.scheme]
    if not 1 <= port <= 65_535:
        raise NotAllowed(_("This is no address that a request can be sent to."))
    return Target(url, port, url.scheme == "http" or port not in settings.EGRESS_ALLOWED_PORTS)


def _literal(host: str) -> Ip | None:
    """The address that stands in the place of a name, also in old forms (`127.1`, `0x7f000001`) that resolvers take."""
    try:
        return Ip(host.partition("%")[0])
    except ValueError:
        pass
    try:
        return Ip(socket.inet_ntoa(socket.inet_aton(host)))
    except (OSError, ValueError):
        return None


def _addresses_of(target: Target, deadline: Deadline) -> list[Ip]:
    """Where the name leads now, every address looked at. Raises NotAllowed, Unresolvable."""
    found = _resolved(target, deadline)
    addresses = list(dict.fromkeys(Ip(str(each[4][0]).partition("%")[0]) for each in found))
    if not addresses:
        raise Unresolvable(_("“%(host)s” has no address.") % {"host": target.host})
    _check_addresses(target, addresses)
    return addresses


def resolving(host: str, port: int) -> Future[list[Any]]:
    """What the system's resolver says (as getaddrinfo), asked in a thread: it has no timeout of its own."""
    future: Future[list[Any]] = Future()

    def ask() -> None:
        try:
            future.set_result(socket.getaddrinfo(host, port, type=socket.SOCK_STREAM))
        except Exception as error:
            future.set_exception(error)

    threading.Thread(target=ask, name="resolver", daemon=True).start()
    return future


def _resolved(target: Target, deadline: Deadline) -> list[Any]:
    try:
        return resolving(target.host, target.port).result(timeout=deadline.left())
    except (FutureTimeoutError, httpcore.ReadTimeout) as error:
        raise TookTooLong(_("“%(host)s” could not be resolved in time.") % {"host": target.host}) from error
    except (OSError, UnicodeError) as error:
        raise Unresolvable(_("“%(host)s” has no address.") % {"host": target.host}) from error


def _check_addresses(target: Target, addresses: Iterable[Ip]) -> None:
    """Every one has to be allowed: a name with one foot inside is not a mistake. Raises NotAllowed."""
    opened = allowed()
    is_named = opened.names_host(target.host)
    for address in addresses:
        if opened.holds(address) or (is_named and not is_never(address)):
            continue
        if target.must_be_listed:
            raise NotAllowed(
                _("Only https and the ports %(ports)s are open.")
                % {"ports": ", ".join(map(str, settings.EGRESS_ALLOWED_PORTS))}
            )
        if not is_public(address):
            raise NotAllowed(_("“%(host)s” is not a public address.") % {"host": target.host})


def _read(pieces: Iterable[bytes], most: int, *, cut: bool) -> tuple[bytes, bool]:
    body = bytearray()
    for piece in pieces:
        body += piece
        if len(body) > most:
            if cut:
                return bytes(body[:most]), True
            raise TooLarge(_("The answer is larger than %(most)d bytes.") % {"most": most})
    return bytes(body), False


def _core_url(target: Target) -> httpcore.URL:
    url = target.url
    return httpcore.URL(scheme=url.raw_scheme, host=url.raw_host, port=url.port, target=url.raw_path)


def _headers(target: Target, headers: Mapping[str, str]) -> list[tuple[bytes, bytes]]:
    # Not compressed: a small answer cannot become a large one.
    whole = {"User-Agent": USER_AGENT, "Accept-Encoding": "identity", "Connection": "close", **headers}
    return [(b"Host", target.url.netloc), *((name.encode(), value.encode()) for name, value in whole.items())]


def _plain_headers(headers: Iterable[tuple[bytes, bytes]]) -> dict[str, str]:
    return {name.decode("latin-1").lower(): value.decode("latin-1") for name, value in headers}


@lru_cache(maxsize=4)
def _tls(ca_file: str) -> ssl.SSLContext:
    """The public authorities, and the installation's own when it names some."""
    context = httpx.create_ssl_context(trust_env=False)
    if ca_file:
        context.load_verify_locations(cafile=ca_file)
    return context


def _why(error: BaseException) -> str:
    """One line; Python's own words, since they are about the other side."""
    lines = str(error).splitlines()
    return lines[0][:200] if lines else type(error).__name__


def host_of(url: str) -> str:
    """The host of an address, for lists and logs; empty when it has none that could be asked."""
    try:
        return httpx.URL(url).host.lower()[:260]
    except (httpx.InvalidURL, ValueError):
        return ""
