"""The connections under OpenAI-compatible models: one `Channel` for each deployment, whose connections are kept.

Built on urllib3, which takes half of what httpx takes for a request. Its connections are ours in two ways: a try's
guard bounds every wait for bytes, and addresses that people have entered are reached through the one door for those
(`foundation.egress`). OpenAI's own client comes over the same connections, by a transport for httpx.
"""

from __future__ import annotations

import io
import socket
import ssl
import threading
import time
import urllib.request
from collections import OrderedDict
from collections.abc import Iterator, Mapping
from concurrent.futures import TimeoutError as FutureTimeoutError
from functools import lru_cache
from typing import Any, Final
from urllib.parse import unquote
from weakref import WeakValueDictionary

import httpx2 as httpx
import urllib3
from urllib3.connection import HTTPConnection, HTTPSConnection
from urllib3.exceptions import ConnectTimeoutError, HTTPError, NewConnectionError
from urllib3.exceptions import TimeoutError as AnyTimeout
from urllib3.util.connection import create_connection

from agents.gateway.exceptions import BrokenAnswer
from agents.gateway.guarding import SLICE_SECONDS, current
from foundation import egress

CONNECT_SECONDS: Final = 10.0
KEPT_CONNECTIONS: Final = 128
KEPT_SECONDS: Final = 30.0
MOST_CLIENTS: Final = 64
# Where nobody says how long to wait.
SECONDS: Final = 120.0
PIECE: Final = 65_536
# What comes packed like this is unpacked here.
ENCODINGS: Final[str] = urllib3.util.make_headers(accept_encoding=True)["accept-encoding"]
# What is true of a body before it is unpacked.
_OF_PACKED: Final = frozenset({"content-encoding", "content-length", "transfer-encoding"})
# Bytes, unpacked. A long answer in pieces is some 300 bytes for each of 128,000 tokens.
LONGEST_ANSWER: Final = 16_000_000
LONGEST_STREAM: Final = 64_000_000
LONGEST_REFUSAL: Final = 64_000


class _Reader(io.RawIOBase):
    """Bytes of a connection; waits for them end when the guard of the waiting thread says so."""

    def __init__(self, sock: _GuardedSocket) -> None:
        self._sock = sock
        # Counted by the socket, which stays open for as long as somebody reads.
        self._held = sock.inner.makefile("rb", buffering=0)

    def readable(self) -> bool:
        """See RawIOBase."""
        return True

    def readinto(self, buffer: Any, /) -> int:
        """See RawIOBase."""
        return self._sock.recv_into(buffer)

    def close(self) -> None:
        """See IOBase."""
        self._held.close()
        super().close()


class _GuardedSocket:
    """A connected socket as http.client uses it."""

    def __init__(self, inner: socket.socket) -> None:
        self.inner = inner
        self._seconds: float | None = inner.gettimeout()

    def settimeout(self, seconds: float | None) -> None:
        """For waits of threads that have no guard."""
        self._seconds = seconds

    def recv_into(self, buffer: Any) -> int:
        """See socket."""
        guard = current()
        if guard is None:
            self.inner.settimeout(self._seconds)
            return self.inner.recv_into(buffer)
        while True:
            self.inner.settimeout(min(guard.left(), SLICE_SECONDS))
            try:
                return self.inner.recv_into(buffer)
            except TimeoutError:
                continue

    def sendall(self, data: Any) -> None:
        """See socket."""
        guard = current()
        self.inner.settimeout(self._seconds if guard is None else guard.left())
        self.inner.sendall(data)

    def makefile(self, mode: str) -> io.BufferedReader:
        """For reading."""
        return io.BufferedReader(_Reader(self))

    def fileno(self) -> int:
        """See socket."""
        return self.inner.fileno()

    def shutdown(self, how: int) -> None:
        """See socket."""
        self.inner.shutdown(how)

    def close(self) -> None:
        """See socket: open until the last reader has closed too."""
        self.inner.close()


class _Guarded(HTTPConnection):
    """A connection whose waits are guarded, and which is not used again after a long rest: who is in between (a
    firewall, a balancer) may have forgotten it.
    """

    _used: float = 0.0

    def connect(self) -> None:
        """See HTTPConnection."""
        super().connect()
        self.sock: Any = _GuardedSocket(self.sock)

    def _new_conn(self) -> socket.socket:
        seconds = float(self.timeout or CONNECT_SECONDS)
        try:
            return _connected(self._dns_host.strip("[]"), self.port, seconds, self.socket_options)
        except TimeoutError as error:
            raise ConnectTimeoutError(self, f"No connection to {self.host} within {seconds:.1f} seconds.") from error
        except (OSError, UnicodeError) as error:
            raise NewConnectionError(self, f"No connection to {self.host}: {error}") from error

    def getresponse(self) -> Any:
        """See HTTPConnection."""
        self._used = time.monotonic()
        return super().getresponse()

    @property
    def is_connected(self) -> bool:
        """See HTTPConnection."""
        return time.monotonic() < self._used + KEPT_SECONDS and super().is_connected


class _GuardedTls(_Guarded, HTTPSConnection):
    """The same with TLS."""


def _connected(host: str, port: int, seconds: float, options: Any) -> socket.socket:
    """To the first of the addresses that answers; each has its share of the time. Raises OSError, UnicodeError, and
    what the guard raises.
    """
    ends, failure = time.monotonic() + seconds, OSError("The name has no address.")
    addresses = _addresses(host, port, ends)
    for number, address in enumerate(addresses):
        share = max(0.0, ends - time.monotonic()) / (len(addresses) - number)
        try:
            # 0 would mean: do not wait at all.
            return create_connection((address, port), share or 0.001, socket_options=options)
        except OSError as error:
            failure = error
    raise failure


def _addresses(host: str, port: int, ends: float) -> list[str]:
    """Where the name leads. Waited for in slices: the system's resolver knows no limit, and nobody can stop it."""
    asked, guard = egress.resolving(host, port), current()
    while True:
        if guard is not None:
            guard.left()
        left = max(0.0, ends - time.monotonic())
        try:
            return list(dict.fromkeys(str(found[4][0]) for found in asked.result(min(left, SLICE_SECONDS))))
        except FutureTimeoutError:
            if not left:
                raise


class _Entered(_Guarded):
    """To `entered`, an address that people have entered: looked at for every new connection."""

    def __init__(self, *args: Any, entered: str, **options: Any) -> None:
        super().__init__(*args, **options)
        self._entered = entered

    def _new_conn(self) -> socket.socket:
        return egress.connected(self._entered, self.host, self.port, seconds=float(self.timeout or CONNECT_SECONDS))


class _EnteredTls(_Entered, _GuardedTls):
    """The same with TLS."""


class Channel:
    """One deployment's connections, which end with it. What `send` and `pieces` raise is httpx's, or of the guard or
    the egress.
    """

    def __init__(self, base_url: str, *, is_entered: bool) -> None:
        self._pool = _pool(base_url, is_entered=is_entered)
        self._is_forwarded = self._pool.proxy is not None and self._pool.scheme == "http"

    def send(
        self, method: str, url: str, *, headers: Mapping[str, str], body: bytes, seconds: float = SECONDS
    ) -> urllib3.BaseHTTPResponse:
        """The answer, of which nothing is read yet; whoever has it closes it. `seconds` are for each wait of a thread
        without a guard.
        """
        guard = current()
        left = seconds if guard is None else guard.left()
        target = url if self._is_forwarded else _path_of(url)
        try:
            response = self._pool.urlopen(
                method, target, body=body, headers=headers, retries=False, redirect=False, assert_same_host=False,
                timeout=urllib3.Timeout(connect=min(left, CONNECT_SECONDS), read=left), preload_content=False,
            )  # fmt: skip
        except NewConnectionError as error:
            # A ConnectTimeoutError too, though one that has not been waited for.
            raise httpx.ConnectError(str(error)) from error
        except ConnectTimeoutError as error:
            raise httpx.ConnectTimeout(str(error)) from error
        except AnyTimeout as error:
            raise httpx.ReadTimeout(str(error)) from error
        except HTTPError as error:
            raise httpx.ConnectError(str(error)) from error
        if guard is not None:
            guard.has_answered = response.status < 400
        return response


@lru_cache(maxsize=MOST_CLIENTS)
def _path_of(url: str) -> str:
    return urllib3.util.parse_url(url).request_uri


def pieces(response: urllib3.BaseHTTPResponse) -> Iterator[bytes]:
    """An answer's bytes, as they come."""
    try:
        while piece := response.read1(PIECE):
            yield piece
    except AnyTimeout as error:
        raise httpx.ReadTimeout(str(error)) from error
    except HTTPError as error:
        raise httpx.ReadError(str(error)) from error


def bounded(response: urllib3.BaseHTTPResponse, most: int, *, cut: bool = False) -> Iterator[bytes]:
    """The same, as far as `most` bytes. Raises BrokenAnswer when there are more, or with `cut` leaves them."""
    for piece in pieces(response):
        if len(piece) > most:
            if not cut:
                raise BrokenAnswer("The answer is longer than is read.")
            yield piece[:most]
            return
        most -= len(piece)
        yield piece


def headers_of(response: urllib3.BaseHTTPResponse) -> list[tuple[str, str]]:
    """Without those of a body that has been unpacked."""
    return [each for each in response.headers.items() if each[0].lower() not in _OF_PACKED]


class _Body(httpx.SyncByteStream):
    """The same as httpx has it."""

    def __init__(self, response: urllib3.BaseHTTPResponse) -> None:
        self._response = response

    def __iter__(self) -> Iterator[bytes]:
        if self._response.status >= 300:
            return bounded(self._response, LONGEST_REFUSAL, cut=True)
        is_stream = self._response.headers.get("content-type", "").startswith("text/event-stream")
        return bounded(self._response, LONGEST_STREAM if is_stream else LONGEST_ANSWER)

    def close(self) -> None:
        """Ends it, whether it has been read or not."""
        self._response.close()


class _Transport(httpx.BaseTransport):
    """httpx's transport over a channel."""

    def __init__(self, channel: Channel) -> None:
        self._channel = channel

    def handle_request(self, request: httpx.Request) -> httpx.Response:
        """See BaseTransport."""
        seconds = request.extensions.get("timeout", {}).get("read") or SECONDS
        headers = {**request.headers, "accept-encoding": ENCODINGS}
        response = self._channel.send(
            request.method, str(request.url), headers=headers, body=request.read(), seconds=seconds
        )
        return httpx.Response(response.status, headers=headers_of(response), stream=_Body(response))


class Client(httpx.Client):
    """One deployment's channel as OpenAI's client takes it. Models hold on to it; with the last of them its
    connections end.
    """

    def __init__(self, channel: Channel) -> None:
        super().__init__(transport=_Transport(channel), follow_redirects=False)
        self.channel = channel


_clients: WeakValueDictionary[tuple[str, str, bool], Client] = WeakValueDictionary()
# The latest are kept though nobody uses them at the moment.
_latest: OrderedDict[tuple[str, str, bool], Client] = OrderedDict()
_lock = threading.Lock()


def client(owner: str, base_url: str, *, is_entered: bool) -> Client:
    """The client of this deployment (or whatever `owner` names). `is_entered`: people have entered the address. Its
    connections end when nobody has it any more.
    """
    key = (owner, base_url, is_entered)
    with _lock:
        found = _clients.get(key)
        if found is None:
            found = _clients[key] = Client(Channel(base_url, is_entered=is_entered))
        _latest[key] = found
        _latest.move_to_end(key)
        while len(_latest) > MOST_CLIENTS:
            _latest.popitem(last=False)
        return found


def _pool(base_url: str, *, is_entered: bool) -> urllib3.HTTPConnectionPool:
    options: dict[str, Any] = {"maxsize": KEPT_CONNECTIONS, "ssl_context": egress.tls() if is_entered else _tls()}
    proxy = "" if is_entered else _proxy_of(base_url)
    manager = _proxied(proxy, options) if proxy else urllib3.PoolManager(**options)
    pool = manager.connection_from_url(base_url)
    is_secure = pool.scheme == "https"
    if is_entered:
        pool.ConnectionCls = _EnteredTls if is_secure else _Entered
        pool.conn_kw["entered"] = base_url
    else:
        pool.ConnectionCls = _GuardedTls if is_secure else _Guarded
    return pool


def _proxied(proxy: str, options: dict[str, Any]) -> urllib3.ProxyManager:
    login = urllib3.util.parse_url(proxy).auth
    headers = urllib3.util.make_headers(proxy_basic_auth=unquote(login)) if login else None
    return urllib3.ProxyManager(proxy, proxy_headers=headers, **options)


@lru_cache(maxsize=1)
def _tls() -> ssl.SSLContext:
    """Reading the authorities takes longer than a call."""
    return httpx.create_ssl_context()


def _proxy_of(base_url: str) -> str:
    """The one that the environment names for this address, as the operator's other programs use it."""
    url = httpx.URL(base_url)
    if urllib.request.proxy_bypass(url.host):
        return ""
    found = urllib.request.getproxies()
    return found.get(url.scheme) or found.get("all") or ""
