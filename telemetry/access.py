"""Who may read /metrics: this machine, the networks that are named, and whoever knows the token."""

from __future__ import annotations

import hmac
from functools import lru_cache
from ipaddress import IPv4Network, IPv6Address, IPv6Network, ip_address, ip_network

from django.conf import settings
from django.http import HttpRequest

Network = IPv4Network | IPv6Network

LOOPBACK = ("127.0.0.0/8", "::1/128")
FORWARDED = ("X-Forwarded-For", "Forwarded")


def may_read_metrics(request: HttpRequest) -> bool:
    """By the bearer token, else by the address that the request really comes from."""
    return _has_token(request) or _is_near(request)


def networks(names: tuple[str, ...]) -> list[Network]:
    """The networks of these names; an address is a network of one. Raises ValueError for what is neither."""
    return [ip_network(name.strip(), strict=False) for name in names if name.strip()]


def _has_token(request: HttpRequest) -> bool:
    expected: str = settings.METRICS_TOKEN
    scheme, _, given = request.headers.get("Authorization", "").partition(" ")
    if not expected or scheme.lower() != "bearer":
        return False
    return hmac.compare_digest(given.strip().encode(), expected.encode())


def _is_near(request: HttpRequest) -> bool:
    address = client_address(request)
    if address is None:
        return False
    return any(address in network for network in _allowed(tuple(settings.METRICS_ALLOW)))


@lru_cache(maxsize=8)
def _allowed(names: tuple[str, ...]) -> list[Network]:
    return networks((*LOOPBACK, *names))


def client_address(request: HttpRequest) -> object | None:
    """The caller's address; behind MUTIRAO_TRUSTED_PROXIES, what the outermost of them has seen.

    None when it cannot be known: a request that came through a proxy nobody told us of looks as if it were local.
    """
    forwarded = [part.strip() for part in request.headers.get("X-Forwarded-For", "").split(",") if part.strip()]
    proxies: int = settings.TRUSTED_PROXIES
    if not proxies and any(name in request.headers for name in FORWARDED):
        return None
    if proxies and forwarded:
        text = forwarded[-proxies] if len(forwarded) >= proxies else ""
    else:
        text = request.META.get("REMOTE_ADDR", "")
    try:
        address = ip_address(text)
    except ValueError:
        return None
    if isinstance(address, IPv6Address) and address.ipv4_mapped is not None:
        return address.ipv4_mapped
    return address
