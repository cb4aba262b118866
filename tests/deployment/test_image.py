"""The image's own steps and commands, run in a clean folder: what it copies, its environment, its commands.

There is no container engine here. The Dockerfile is read, not repeated: the COPY, ENV, RUN, CMD and HEALTHCHECK of its
last stage are carried out with its absolute paths put below a scratch folder, and with the packages that the locks
name (the suite's own environment, its editable install switched off).
"""

from __future__ import annotations

import json
import os
import re
import shlex
import shutil
import signal
import subprocess
import sys
import sysconfig
import time
import uuid
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from importlib import metadata
from pathlib import Path
from typing import Any

import psutil
import pytest
import yaml
from dockerfile_parse import DockerfileParser
from packaging.requirements import Requirement

from mutirao.embedded import free_port
from tests.environment import GIVEN
from tests.mutirao.databases import KINDS, empty_database

pytestmark = pytest.mark.embedded

ROOT = Path(__file__).resolve().parents[2]
ABSOLUTE = re.compile(r"(?<![\w.])/(app|opt/static|opt/venv|var/lib/mutirao|run/secrets)\b")
WITHIN = 40.0


@dataclass(frozen=True)
class Image:
    """A scratch folder that stands for the image's file system, and the last stage's instructions."""

    root: Path
    steps: list[tuple[str, str]]

    def below(self, text: str) -> str:
        """The text with the image's absolute paths inside the scratch folder."""
        return ABSOLUTE.sub(lambda found: f"{self.root}/{found.group(1)}", text)

    def values(self, instruction: str) -> list[str]:
        return [value for name, value in self.steps if name == instruction]

    @property
    def environ(self) -> dict[str, str]:
        """Its ENV, over nothing but PATH."""
        environ = {"PATH": os.environ["PATH"]}
        for value in self.values("ENV"):
            for pair in shlex.split(value):
                name, _, text = pair.partition("=")
                environ[name] = self.below(text.replace("$PATH", environ["PATH"]))
        # The packages, without what an editable install adds to the path.
        environ["PYTHONPATH"] += f":{sysconfig.get_path('purelib')}"
        return environ

    @property
    def said(self) -> Path:
        """What the process that was started last has printed."""
        return self.root / "said.txt"

    def start(self, command: list[str], **more: str) -> subprocess.Popen[str]:
        with self.said.open("w") as said:
            return subprocess.Popen(
                [self.below(part) for part in command], cwd=self.root / "app", env=self.environ | more, text=True,
                stdout=said, stderr=subprocess.STDOUT, start_new_session=True,
            )  # fmt: skip

    def run(self, command: list[str], **more: str) -> subprocess.CompletedProcess[str]:
        return subprocess.run(
            [self.below(part) for part in command], cwd=self.root / "app", env=self.environ | more, text=True,
            capture_output=True, timeout=180,
        )  # fmt: skip

    def files(self) -> set[str]:
        return {str(path.relative_to(self.root)) for path in (self.root / "app").rglob("*")}


def _last_stage() -> list[tuple[str, str]]:
    parser = DockerfileParser(str(ROOT / "Dockerfile"))
    steps = [(step["instruction"], step["value"]) for step in parser.structure if step["instruction"] != "COMMENT"]
    begins = max(number for number, (name, _) in enumerate(steps) if name == "FROM")
    return steps[begins:]


def _tracked() -> list[str]:
    listed = subprocess.run(["git", "ls-files", "-z"], cwd=ROOT, capture_output=True, text=True, check=True)
    return [name for name in listed.stdout.split("\0") if name and (ROOT / name).is_file()]


def _copy(image: Image, value: str) -> None:
    *sources, target = value.split()
    for source in sources:
        names = [name for name in _tracked() if name == source or name.startswith(source)]
        assert names, source
        for name in names:
            inside = Path(name).relative_to(source) if source.endswith("/") else Path(name).name
            goal = image.root / "app" / target / inside
            goal.parent.mkdir(parents=True, exist_ok=True)
            shutil.copy(ROOT / name, goal)


def _programs(folder: Path) -> None:
    """python, uvicorn and celery as in the image's environment: only what PYTHONPATH says is importable."""
    folder.mkdir(parents=True)
    for name, module in (("python", ""), ("uvicorn", "-m uvicorn"), ("celery", "-m celery")):
        program = folder / name
        program.write_text(f'#!/bin/sh\nexec {sys.executable} -S {module} "$@"\n')
        program.chmod(0o755)


@pytest.fixture(scope="module")
def image(tmp_path_factory: pytest.TempPathFactory) -> Image:
    """The image, built: files copied, RUN lines run."""
    image = Image(tmp_path_factory.mktemp("image"), _last_stage())
    for folder in ("app", "var/lib/mutirao", "opt"):
        (image.root / folder).mkdir(parents=True, exist_ok=True)
    _programs(image.root / "opt/venv/bin")
    for name, value in image.steps:
        if name == "COPY" and "--from=" not in value:
            _copy(image, value)
        # Users are made by root in a file system of their own.
        if name == "RUN" and "useradd" not in value:
            done = image.run(["sh", "-ec", value])
            assert done.returncode == 0, done.stdout + done.stderr
    return image


@pytest.fixture(scope="module")
def given(image: Image, tmp_path_factory: pytest.TempPathFactory) -> Iterator[dict[str, str]]:
    """What compose.yaml gives to web and worker, with the addresses of the suite's own services."""
    secrets = image.root / "run/secrets"
    subprocess.run(["make", "secrets", f"SECRETS={secrets}"], cwd=ROOT, check=True, capture_output=True)
    compose: dict[str, Any] = yaml.safe_load((ROOT / "compose.yaml").read_text())
    environ = {
        name: image.below(re.sub(r"\$\{\w+:-([^}]*)\}", r"\1", str(value)))
        for name, value in compose["services"]["web"]["environment"].items()
    }
    for name in ("DATABASE_URL", "DATABASE_PASSWORD_FILE", "REDIS_PASSWORD_FILE"):
        del environ[name]
    prefix = f"image-{uuid.uuid4().hex[:8]}"
    broker = {name: GIVEN[name] for name in ("CELERY_BROKER_URL",) if name in GIVEN}
    with empty_database(KINDS[-1]) as database:
        yield environ | database | broker | {
            "REDIS_URL": os.environ["REDIS_URL"], "MUTIRAO_REDIS_PREFIX": prefix, "MUTIRAO_QUEUE_PREFIX": f"{prefix}.",
        }  # fmt: skip


@pytest.fixture(scope="module")
def prepared(image: Image, given: dict[str, str]) -> dict[str, str]:
    """The same, after the one-shot service has run."""
    command = _service("migrate")["command"]
    done = image.run(command, **given, MUTIRAO_ADMIN_PASSWORD_FILE=str(image.root / "run/secrets/admin_password"))
    assert done.returncode == 0, done.stdout + done.stderr
    assert "assistant" in done.stdout
    return given


def _service(name: str) -> dict[str, Any]:
    service: dict[str, Any] = yaml.safe_load((ROOT / "compose.yaml").read_text())["services"][name]
    return service


def _wait(image: Image, condition: Callable[[], bool], process: subprocess.Popen[str]) -> None:
    deadline = time.monotonic() + WITHIN
    while not condition():
        assert process.poll() is None, image.said.read_text()
        assert time.monotonic() < deadline, image.said.read_text()
        time.sleep(0.2)


def _stop(process: subprocess.Popen[str]) -> int:
    """SIGTERM to the process alone, as an engine does it."""
    process.send_signal(signal.SIGTERM)
    try:
        return process.wait(timeout=25)
    finally:
        for child in [] if process.poll() is not None else psutil.Process(process.pid).children(recursive=True):
            child.kill()
        if process.poll() is None:
            process.kill()


def test_it_runs_as_nobody_special_and_keeps_no_secret(image: Image) -> None:
    assert image.values("USER") == ["10001:10001"]
    text = (ROOT / "Dockerfile").read_text()
    assert not re.search(r"(?i)(ARG|ENV)\s+\w*(SECRET|PASSWORD|TOKEN|_KEY)", text)
    assert not any(re.search(r"environment$|\.env|sqlite3|/var/|secret_key$", name) for name in image.files())


def test_every_package_is_the_locked_one() -> None:
    lines = re.findall(r"^([a-z0-9].*==.*?) *\\?$", (ROOT / "requirements/base.txt").read_text(), re.MULTILINE)
    wanted = [found for found in map(Requirement, lines) if found.marker is None or found.marker.evaluate()]
    locked = {found.name: str(found.specifier).removeprefix("==") for found in wanted}
    installed = {found.name.lower().replace("_", "-"): found.version for found in metadata.distributions()}
    assert len(locked) > 60
    assert {name: version for name, version in locked.items() if installed.get(name) != version} == {}


def test_what_the_engine_may_see_is_what_the_image_copies(image: Image) -> None:
    lines = (ROOT / ".dockerignore").read_text().splitlines()
    seen = {line[1:] for line in lines if line.startswith("!")}
    copied = {
        source.rstrip("/") for value in image.values("COPY") if "--from" not in value for source in value.split()[:-1]
    }
    assert "*" in lines
    assert seen == copied | {"requirements"}


def test_all_rooms_are_imported_from_the_image_and_from_nowhere_else(image: Image) -> None:
    code = (
        "import foundation, mutirao, accounts, telemetry, agents, platform, json;"
        "rooms = foundation, mutirao, accounts, telemetry, agents;"
        "print(json.dumps([room.__file__ for room in rooms] + [platform.system()]))"
    )
    done = image.run(["python", "-c", code])
    assert done.returncode == 0, done.stderr
    *files, system = json.loads(done.stdout)
    assert all(Path(file).is_relative_to(image.root) for file in files)
    assert system


def test_static_files_are_in_the_image(image: Image) -> None:
    assert (image.root / "opt/static/mutirao/admin.css").is_file()
    assert (image.root / "opt/static/unfold").is_dir()


def test_web_answers_serves_its_static_files_and_stops(image: Image, prepared: dict[str, str]) -> None:
    port = str(free_port())
    command = [port if part == "8000" else part for part in json.loads(image.values("CMD")[0])]
    before = image.files()
    web = image.start(command, **prepared)
    health = json.loads(image.values("HEALTHCHECK")[0].partition("CMD")[2])
    health = [part.replace(":8000", f":{port}") for part in health]
    try:
        _wait(image, lambda: image.run(health).returncode == 0, web)
        get = "import sys, urllib.request; print(urllib.request.urlopen(sys.argv[1]).status)"
        for path in ("readyz", "static/mutirao/admin.css"):
            assert image.run(["python", "-c", get, f"http://127.0.0.1:{port}/{path}"]).stdout == "200\n"
    finally:
        code = _stop(web)
    # uvicorn ends itself by the signal once it has finished politely.
    assert code in (0, -signal.SIGTERM)
    assert image.files() == before


def test_a_worker_is_alive_and_stops(image: Image, prepared: dict[str, str]) -> None:
    service = _service("worker")
    prefix, port = prepared["MUTIRAO_QUEUE_PREFIX"], str(free_port())
    queues = f"--queues={prefix}interactive,{prefix}background"
    command = [queues if part.startswith("--queues=") else part for part in service["command"]]
    command = [re.sub(r"\$\{\w+:-([^}]*)\}", r"\1", part) for part in command]
    before = image.files()
    assert image.run(service["healthcheck"]["test"][1:], **prepared).returncode == 1
    worker = image.start(command, **prepared, MUTIRAO_WORKER_METRICS_PORT=port)
    try:
        _wait(image, lambda: image.run(service["healthcheck"]["test"][1:], **prepared).returncode == 0, worker)
        get = "import sys, urllib.request; print(urllib.request.urlopen(sys.argv[1]).status)"
        assert image.run(["python", "-c", get, f"http://127.0.0.1:{port}/metrics"]).stdout == "200\n"
    finally:
        code = _stop(worker)
    assert code == 0
    assert image.files() == before
