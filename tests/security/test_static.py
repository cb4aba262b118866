"""What can be said of the code without running it: stored data never becomes code, and nothing known is left open."""

from __future__ import annotations

import ast
import json
import subprocess
import sys
from collections import Counter
from collections.abc import Iterator
from importlib.metadata import version
from pathlib import Path

import pytest
from packaging.version import Version

pytestmark = pytest.mark.embedded

ROOT = Path(__file__).resolve().parents[2]
ROOMS = ("accounts", "agents", "platform", "telemetry")

# Modules that build objects from bytes, or run programs.
DANGEROUS_MODULES = {"pickle", "cPickle", "dill", "cloudpickle", "marshal", "shelve", "joblib", "subprocess", "pty"}
DANGEROUS_CALLS = {
    "eval", "exec", "compile", "__import__", "os.system", "os.popen", "os.execv", "os.execve", "os.spawnv",
    "yaml.load", "yaml.load_all", "yaml.unsafe_load", "yaml.full_load", "importlib.import_module", "import_module",
    "import_string", "importlib.util.spec_from_file_location", "runpy.run_path", "runpy.run_module",
}  # fmt: skip
# LangChain's and LangGraph's doors for serialised objects and templates that are evaluated.
DANGEROUS_NAMES = {"langchain_core.load", "langchain.load", "langchain_experimental", "PickleSerializer", "jinja2"}
# Each of these was read: the names and commands are ours, no row and no request has a say in them.
REVIEWED = {
    ("agents/gateway/local.py", "subprocess"): "starts our own command that serves the local model",
    ("agents/gateway/serving.py", "importlib.import_module"): "one constant name, of a package that may be missing",
    ("agents/gateway/building.py", "import_string"): "one constant name, of the models for tests",
    ("agents/worker/alone.py", "subprocess"): "starts our own worker for suspects",
    ("platform/mutirao/management/commands/up.py", "os.execve"): "becomes the web or worker command of its own",
    ("platform/mutirao/supervisor.py", "subprocess"): "starts web, worker and Valkey",
    ("platform/mutirao/embedded.py", "subprocess"): "starts Valkey",
    ("platform/mutirao/checks.py", "import_string"): "the names in settings.MIDDLEWARE",
}
# Bandit's findings of medium weight and more: how many in which file, and why they are no holes.
REVIEWED_BY_BANDIT = {
    ("accounts/keys.py", "B608"): (1, "table and column names of our models; the value is a parameter"),
    ("agents/runtime/storage.py", "B608"): (7, "table and column names of our models; values are parameters"),
    ("agents/tasks/storage.py", "B608"): (17, "table and column names of our models; values are parameters"),
    ("platform/foundation/statements.py", "B608"): (1, "table and column names of our models; values are parameters"),
    ("platform/mutirao/diagnosis_telemetry.py", "B310"): (1, "an address of the settings, its scheme checked before"),
    ("platform/mutirao/management/commands/up.py", "B310"): (1, "our own address"),
    ("platform/mutirao/pages/markdown.py", "B308"): (1, "cleaned by nh3 in the line before"),
    ("platform/mutirao/pages/markdown.py", "B703"): (1, "the same line"),
}
# The first version without the named hole. Locks may only go up.
LEAST_VERSIONS = {
    "Django": ("5.2.9", "CVE-2025-64459, CVE-2025-13372, CVE-2025-64460"),
    "djangorestframework": ("3.15.2", "CVE-2024-21520"),
    "djangorestframework_simplejwt": ("5.5.1", "CVE-2024-22513"),
    "PyJWT": ("2.10.1", "CVE-2022-29217, CVE-2024-53861"),
    "django-guardian": ("3.5.1", "the maintainers' own security release"),
    "django-allauth": ("65.13.0", "CVE-2025-65430, CVE-2025-65431"),
    "celery": ("5.2.2", "CVE-2021-23727"),
    "redis": ("4.5.5", "CVE-2023-28858, CVE-2023-28859"),
    "langchain-core": ("1.2.5", "CVE-2025-65106, CVE-2025-68664, CVE-2026-34070"),
    "langgraph": ("1.0.10", "CVE-2026-28277"),
    "langgraph-checkpoint": ("3.0.0", "CVE-2025-64439"),
    "langgraph-sdk": ("0.3.15", "CVE-2026-48776"),
    "langsmith": ("0.6.3", "CVE-2026-25528"),
    "cryptography": ("46.0.5", "CVE-2024-12797, CVE-2026-26007"),
    "urllib3": ("2.6.3", "CVE-2025-66418, CVE-2025-66471, CVE-2026-21441"),
    "requests": ("2.32.4", "CVE-2024-35195, CVE-2024-47081"),
    "h11": ("0.16.0", "CVE-2025-43859"),
    "httpcore": ("1.0.9", "CVE-2025-43859, by the h11 it asks for"),
    "httpx": ("0.23.0", "CVE-2021-41945"),
    "pydantic": ("2.4.0", "CVE-2024-3772"),
    "certifi": ("2024.7.4", "CVE-2024-39689"),
    "idna": ("3.7", "CVE-2024-3651"),
    "sqlparse": ("0.5.0", "CVE-2024-4340"),
    "orjson": ("3.11.6", "CVE-2024-27454, CVE-2025-67221"),
    "PyYAML": ("5.4", "CVE-2020-14343"),
    "markdown-it-py": ("2.2.0", "CVE-2023-26302, CVE-2023-26303"),
    "sentry-sdk": ("2.8.0", "CVE-2024-40647"),
}  # fmt: skip


def _files() -> Iterator[Path]:
    for room in ROOMS:
        yield from (file for file in (ROOT / room).rglob("*.py") if "migrations" not in file.parts)


def _uses(tree: ast.AST) -> Iterator[str]:
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom) and node.module:
            yield node.module
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.Call):
            yield ast.unparse(node.func)


def _is_dangerous(name: str) -> bool:
    return (
        name.split(".")[0] in DANGEROUS_MODULES
        or name in DANGEROUS_CALLS
        or any(name == bad or name.startswith(f"{bad}.") for bad in DANGEROUS_NAMES)
    )


def _dangerous(source: str) -> set[str]:
    found = {name for name in _uses(ast.parse(source)) if _is_dangerous(name)}
    return {name.split(".")[0] if name.split(".")[0] in DANGEROUS_MODULES else name for name in found}


def test_no_room_turns_data_into_code() -> None:
    found = {
        (str(file.relative_to(ROOT)), name) for file in _files() for name in _dangerous(file.read_text())
    }  # fmt: skip
    # `import_string` is found where it is imported and where it is called.
    assert found == set(REVIEWED)


@pytest.mark.parametrize(
    "source",
    [
        "eval(row.code)",
        "import pickle",
        "from pickle import loads",
        "yaml.load(text)",
        "from subprocess import run",
        "importlib.import_module(agent.kind)",
        "from django.utils.module_loading import import_string",
        "from langchain_core.load import loads",
        "import langchain_core.load.load",
    ],
)
def test_the_search_finds_what_it_looks_for(source: str) -> None:
    assert _dangerous(source)


@pytest.mark.once
def test_bandit_finds_nothing_that_nobody_has_looked_at() -> None:
    bandit = Path(sys.executable).parent / "bandit"
    done = subprocess.run(
        [bandit, "--quiet", "--recursive", *ROOMS, "-ll", "--format", "json"], cwd=ROOT, capture_output=True, text=True
    )
    results = json.loads(done.stdout)["results"]
    found = Counter((result["filename"], result["test_id"]) for result in results)
    assert found == {finding: count for finding, (count, _why) in REVIEWED_BY_BANDIT.items()}


@pytest.mark.parametrize("package", LEAST_VERSIONS)
def test_what_is_installed_has_no_hole_that_is_in_the_table(package: str) -> None:
    least, _holes = LEAST_VERSIONS[package]
    assert Version(version(package)) >= Version(least)
