"""The networks that a key may be used from, in CIDR notation. IPv4 in IPv6's clothes counts as IPv4."""

from __future__ import annotations

from collections.abc import Iterable
from functools import lru_cache
from ipaddress import IPv4Network, IPv6Network, ip_network

from django.utils.translation import gettext as _

from accounts.exceptions import InvalidAddress
from foundation.addresses import Ip, Network

MOST = 50
# ::ffff:0:0/96, where IPv6 keeps the addresses of IPv4.
_MAPPED = IPv6Network("::ffff:0:0/96")


def check_networks(texts: Iterable[str]) -> list[str]:
    """The same networks as they are kept: once each, in order. Raises InvalidAddress naming the first that is none."""
    networks = sorted({_network(text.strip()) for text in texts if text.strip()}, key=_order)
    if len(networks) > MOST:
        raise InvalidAddress(_("At most %(most)d networks can be given.") % {"most": MOST})
    return [str(network) for network in networks]


def _network(text: str) -> Network:
    try:
        # A zone (“%eth0”) means something on one machine alone.
        return _plain(ip_network(text.replace("%", " ")))
    except ValueError as error:
        sentence = _("“%(text)s” is no address and no network. Write 203.0.113.7, 10.1.0.0/16 or 2001:db8::/32.")
        raise InvalidAddress(sentence % {"text": text[:60]}) from error


def _plain(network: Network) -> Network:
    if isinstance(network, IPv6Network) and network.subnet_of(_MAPPED):
        return IPv4Network((int(network.network_address) & 0xFFFFFFFF, network.prefixlen - 96))
    return network


def _order(network: Network) -> tuple[int, int, int]:
    return network.version, int(network.network_address), network.prefixlen


@lru_cache(maxsize=4096)
def _parsed(texts: tuple[str, ...]) -> tuple[Network, ...]:
    return tuple(ip_network(text) for text in texts)


def holds(texts: tuple[str, ...], address: str) -> bool:
    """Whether one of these (checked) networks holds the address."""
    ip = Ip(address)
    return any(ip.plain in network for network in _parsed(texts))


def are_within(inner: Iterable[str], outer: Iterable[str]) -> bool:
    """Whether each of these (checked) networks is part of one of the others."""
    wide = _parsed(tuple(outer))
    return all(any(_is_part(network, other) for other in wide) for network in _parsed(tuple(inner)))


def _is_part(network: Network, other: Network) -> bool:
    return network.version == other.version and network.subnet_of(other)  # type: ignore[arg-type]
