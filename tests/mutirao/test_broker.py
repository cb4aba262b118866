"""A worker whose broker is lost while it holds messages."""

from __future__ import annotations

from typing import Any

import pytest
from kombu.transport import redis

from mutirao.broker import CalmQoS, keep_calm

pytestmark = pytest.mark.embedded


class Closing:
    """A channel whose connection is gone already."""

    do_restore = True

    def conn_or_acquire(self, *_given: Any) -> Any:
        raise AttributeError("'NoneType' object has no attribute 'hostname'")


def _holding(kind: Any) -> Any:
    qos = kind(Closing())
    qos._delivered["tag"] = object()
    return qos


def test_what_cannot_be_given_back_stops_no_worker() -> None:
    _holding(CalmQoS).restore_unacked_once()


def test_without_our_calm_it_would() -> None:
    """The control: when this passes no more, kombu has learned it, and mutirao.broker can go."""
    with pytest.raises(AttributeError):
        _holding(redis.QoS).restore_unacked_once()


def test_channels_are_calm_in_a_worker(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(redis.Channel, "QoS", redis.QoS)
    keep_calm()
    assert redis.Channel.QoS is CalmQoS
