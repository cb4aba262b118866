"""The folder of an installation and its environment file."""

from __future__ import annotations

import socket
from pathlib import Path

import pytest

from mutirao.home import Home, HomeError, read_environment


def test_the_first_start_makes_secrets_that_the_second_keeps(tmp_path: Path) -> None:
    home = Home(tmp_path)
    home.make()
    assert home.prepare_environment({}) is True
    first = read_environment(home.environment_file)
    assert home.prepare_environment({}) is False
    assert read_environment(home.environment_file) == first
    assert len(first["SECRET_KEY"]) >= 32
    assert first["SECRET_KEY"] != first["JWT_SIGNING_KEY"]
    assert first["REDIS_URL"].startswith("redis://:")
    assert home.environment_file.stat().st_mode & 0o077 == 0


def test_what_the_environment_gives_is_not_made(tmp_path: Path) -> None:
    home = Home(tmp_path)
    home.make()
    home.prepare_environment({"REDIS_URL": "redis://elsewhere:6379/0", "SECRET_KEY": "given"})
    assert set(read_environment(home.environment_file)) == {
        "JWT_SIGNING_KEY", "MUTIRAO_ENCRYPTION_KEYS", "MUTIRAO_HTTPS",
    }  # fmt: skip
    assert home.embedded_valkey({"REDIS_URL": "redis://elsewhere:6379/0"}) is None


def test_a_taken_valkey_port_is_replaced_and_nothing_else(tmp_path: Path) -> None:
    home = Home(tmp_path)
    home.make()
    home.prepare_environment({})
    first = read_environment(home.environment_file)
    valkey = home.embedded_valkey({})
    assert valkey is not None
    with socket.create_server(("127.0.0.1", valkey.port)):
        assert home.prepare_environment({}) is True
    second = read_environment(home.environment_file)
    assert second.pop("REDIS_URL") != first.pop("REDIS_URL")
    assert second == first


def test_a_process_that_starts_over_forgets_what_came_from_the_file(tmp_path: Path) -> None:
    home = Home(tmp_path)
    home.make()
    home.prepare_environment({})
    stale = read_environment(home.environment_file)
    assert home.without_file({**stale, "PATH": "/bin"}) == {"PATH": "/bin"}


def test_two_processes_cannot_hold_one_home(tmp_path: Path) -> None:
    home = Home(tmp_path)
    home.make()
    with home.lock(address="http://127.0.0.1:8000"), pytest.raises(HomeError, match=r"http://127\.0\.0\.1:8000"):
        home.lock(address="http://127.0.0.1:8001")
    home.lock(address="http://127.0.0.1:8001").close()


def test_a_home_that_cannot_be_made_is_one_sentence(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    with pytest.raises(HomeError, match="cannot be written to"):
        Home(tmp_path / "file" / "home").make()
