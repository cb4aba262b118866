"""`make up`, as its user meets it."""

from __future__ import annotations

import signal
import socket
import sqlite3
import subprocess
from pathlib import Path

import psutil
import pytest

from mutirao.embedded import free_port
from tests import prepared
from tests.site import ROOT, Site, base_environ, from_nothing, manage, running

pytestmark = pytest.mark.embedded
SECOND_START_SECONDS = 8


def test_the_second_start_is_quick_and_continues_where_the_first_stopped(tmp_path: Path) -> None:
    with from_nothing(tmp_path) as first:
        said = [line for line in first.lines if "sign in at" in line]
        assert len(said) == 1
        key = first.make_key()
    assert first.family() == []
    with running(tmp_path) as second:
        second.key = key
        assert second.request("GET", "/api/v1/me")[1]["username"] == "admin"
        assert not any("password" in line for line in second.lines)
    second_start = Site(tmp_path)
    took = second_start.start()
    second_start.stop()
    # A mark of the issue; here only a gross regression fails, `make bench` prints the figure.
    assert took < 3 * SECOND_START_SECONDS


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM, signal.SIGHUP])
def test_it_leaves_no_process_behind(tmp_path: Path, number: int) -> None:
    with running(tmp_path) as site:
        family = site.family()
        assert len(family) >= 4
        assert site.stop(number) == 0
        assert [process for process in family if process.is_running()] == []
        assert site.family() == []


def test_it_leaves_no_process_behind_when_it_is_killed(tmp_path: Path) -> None:
    with running(tmp_path) as site:
        family = site.family()
        site.stop(signal.SIGKILL)
        _, alive = psutil.wait_procs(family, timeout=30)
        assert alive == []


def test_a_taken_port_is_one_sentence(tmp_path: Path) -> None:
    with socket.create_server(("127.0.0.1", 0)) as server:
        port = server.getsockname()[1]
        failed = manage(tmp_path, "up", "--port", str(port))
    assert _complaint(failed) == (
        f"CommandError: Port {port} is taken by another program; choose another one, for example PORT={port + 1}."
    )


def test_a_port_that_is_none_is_one_sentence(tmp_path: Path) -> None:
    assert _complaint(manage(tmp_path, "up", PORT="http")) == "CommandError: PORT is not a port number: 'http'."


def test_a_second_one_on_the_same_state_is_one_sentence(site: Site) -> None:
    failed = site.manage("up", "--port", str(free_port()))
    assert "already runs on" in _complaint(failed)
    assert site.is_ready()


def test_a_folder_that_cannot_be_written_to_is_one_sentence(tmp_path: Path) -> None:
    blocked = tmp_path / "file"
    blocked.touch()
    assert "cannot be written to" in _complaint(manage(blocked / "home", "up", "--port", str(free_port())))


def test_state_from_a_newer_version_is_one_sentence(tmp_path: Path) -> None:
    prepared.give(tmp_path, has_server=False)
    with sqlite3.connect(tmp_path / "mutirao.sqlite3") as database:
        database.execute(
            "INSERT INTO django_migrations (app, name, applied) VALUES ('agents_tasks', '9999_future', datetime('now'))"
        )
    failed = manage(tmp_path, "up", "--port", str(free_port()))
    assert "made by a newer version of Mutirão (it has the migration agents_tasks.9999_future)" in _complaint(failed)


def test_a_python_that_is_too_old_is_one_sentence(tmp_path: Path) -> None:
    old = tmp_path / "python3"
    old.write_text('#!/bin/sh\n[ "$1" = --version ] && echo Python 3.9.1\nexit 1\n')
    old.chmod(0o755)
    failed = subprocess.run(
        ["make", "-B", f"PYTHON={old}", ".venv/.python"],
        cwd=ROOT,
        env=base_environ(tmp_path),
        capture_output=True,
        text=True,
    )
    assert failed.returncode != 0
    assert "Mutirão needs Python 3.11 or newer" in failed.stderr


def _complaint(failed: subprocess.CompletedProcess[str]) -> str:
    """The one line that a failed command says, apart from what its children print."""
    assert failed.returncode == 1, failed.stdout + failed.stderr
    assert "Traceback" not in failed.stderr
    lines = [line for line in failed.stderr.splitlines() if line.strip()]
    assert len(lines) == 1, failed.stderr
    return lines[0]
