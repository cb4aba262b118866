"""Which addresses of the internet are public, and which an installation has opened beside them."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from functools import lru_cache
from ipaddress import IPv4Address, IPv4Network, IPv6Address, IPv6Network, ip_address, ip_network
from typing import Any

Network = IPv4Network | IPv6Network

# What Python's `is_global` says of these differs between its versions, or is too kind (IANA's registries of addresses
# with a special purpose, RFC 6890 and later).
_CLOSED_4 = tuple(
    map(
        IPv4Network,
        (
            "0.0.0.0/8", "10.0.0.0/8", "100.64.0.0/10", "127.0.0.0/8", "169.254.0.0/16", "172.16.0.0/12",
            "192.0.0.0/24", "192.0.2.0/24", "192.31.196.0/24", "192.52.193.0/24", "192.88.99.0/24", "192.168.0.0/16",
            "192.175.48.0/24", "198.18.0.0/15", "198.51.100.0/24", "203.0.113.0/24", "224.0.0.0/4", "240.0.0.0/4",
            "168.63.129.16/32",
        ),
    )
)  # fmt: skip
# Of IPv6 only 2000::/3 is public; in it, tunnels (Teredo, 6to4), documentation and special purposes are not.
_PUBLIC_6 = IPv6Network("2000::/3")
_CLOSED_6 = tuple(map(IPv6Network, ("2001::/23", "2001:db8::/32", "2002::/16", "2620:4f:8000::/48", "3fff::/20")))
# An IPv4 address in IPv6's clothes, as networks without IPv4 translate it (RFC 6052).
_NAT64 = IPv6Network("64:ff9b::/96")
# Not opened by a name on the allow-list, only by a network: where clouds keep their credentials, and what is nobody.
_NEVER = tuple(
    map(
        ip_network,
        (
            "0.0.0.0/8", "169.254.0.0/16", "224.0.0.0/4", "255.255.255.255/32", "168.63.129.16/32",
            "100.100.100.200/32", "192.0.0.192/32", "fe80::/10", "ff00::/8", "::/128",
            "fd00:ec2::254/128", "fd20:ce::254/128",
        ),
    )
)  # fmt: skip
_NAME = re.compile(r"^(?:\*\.)?[a-z0-9_]([a-z0-9_-]*[a-z0-9_])?(?:\.[a-z0-9_]([a-z0-9_-]*[a-z0-9_])?)*$")


def client_address(meta: Mapping[str, Any], *, proxies: int) -> str | None:
    """Whoever asks, by a request's META: what the outermost of so many trusted proxies has seen, else the peer.

    What else stands in X-Forwarded-For was written by the client and is not believed; with rubbish there, the peer.
    None where there is no address (a Unix socket).
    """
    peer = str(meta.get("REMOTE_ADDR") or "")
    parts = [part.strip() for part in str(meta.get("HTTP_X_FORWARDED_FOR", "")).split(",")]
    seen = parts[-proxies] if 0 < proxies <= len(parts) else peer
    return _plain(seen) or _plain(peer)


def _plain(text: str) -> str | None:
    try:
        # Without the name of a network card (fe80::1%eth0), which no column of addresses takes.
        return str(Ip(text).plain).partition("%")[0]
    except ValueError:
        return None


class Ip:
    """An address, out of whatever clothes it came in: IPv4 in IPv6 counts as IPv4. Raises ValueError."""

    __slots__ = ("_plain", "_written")

    def __init__(self, text: str) -> None:
        self._written = ip_address(text)
        self._plain = _unwrapped(self._written)

    @property
    def plain(self) -> IPv4Address | IPv6Address:
        """What it comes down to."""
        return self._plain

    def is_in(self, network: Network) -> bool:
        """Whether the network holds it, as written or as what it comes down to."""
        return self._written in network or self._plain in network

    def __str__(self) -> str:
        return str(self._written)

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Ip) and other._written == self._written

    def __hash__(self) -> int:
        return hash(self._written)


def _unwrapped(address: IPv4Address | IPv6Address) -> IPv4Address | IPv6Address:
    if isinstance(address, IPv6Address):
        if address.ipv4_mapped is not None:
            return address.ipv4_mapped
        if address in _NAT64:
            return IPv4Address(int(address) & 0xFFFFFFFF)
    return address


def is_public(ip: Ip) -> bool:
    """Whether anybody on the internet may have it."""
    address = ip.plain
    if isinstance(address, IPv4Address):
        return not any(address in network for network in _CLOSED_4)
    return address in _PUBLIC_6 and not any(address in network for network in _CLOSED_6)


def is_never(ip: Ip) -> bool:
    """Metadata services, link-local and group addresses."""
    return any(ip.is_in(network) for network in _NEVER)


@dataclass(frozen=True, slots=True)
class Allowed:
    """The allow-list: networks, names, and `*.` before a name for everything below it."""

    networks: tuple[Network, ...] = ()
    names: frozenset[str] = frozenset()

    def holds(self, ip: Ip) -> bool:
        """Whether a listed network holds the address."""
        return any(ip.is_in(network) for network in self.networks)

    def names_host(self, host: str) -> bool:
        """Whether the name is listed, or is below one that is."""
        parts = host.split(".")
        above = {"*." + ".".join(parts[start:]) for start in range(1, len(parts))}
        return host in self.names or not self.names.isdisjoint(above)


@lru_cache(maxsize=8)
def parse_allowed(entries: tuple[str, ...]) -> Allowed:
    """The allow-list of these entries. Raises ValueError naming the first that is neither a network nor a name."""
    networks: list[Network] = []
    names: set[str] = set()
    for entry in (each.strip().lower() for each in entries):
        try:
            networks.append(ip_network(entry, strict=False))
        except ValueError:
            if not _NAME.match(entry) or entry.replace(".", "").isdigit():
                raise ValueError(f"{entry!r} is neither a network nor a name") from None
            names.add(entry)
    return Allowed(tuple(networks), frozenset(names))
