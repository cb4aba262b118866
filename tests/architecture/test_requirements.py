"""What the code imports is asked for by name, not only brought along by something else."""

from __future__ import annotations

import ast
import re
import sys
from collections.abc import Iterator
from importlib.metadata import packages_distributions
from pathlib import Path

import pytest

pytestmark = pytest.mark.embedded

ROOT = Path(__file__).resolve().parents[2]
ROOMS = ("accounts", "agents", "platform", "telemetry")
OURS = {"accounts", "agents", "foundation", "mutirao", "telemetry"}


def _plain(name: str) -> str:
    """As the index spells it."""
    return re.sub(r"[-_.]+", "-", name).lower()


def _named() -> set[str]:
    lines = [(ROOT / f"requirements/{file}.in").read_text().splitlines() for file in ("base", "local-model")]
    found = [re.match(r"[A-Za-z0-9._-]+", line) for each in lines for line in each]
    return {_plain(each.group()) for each in found if each}


def _imported(source: str) -> Iterator[str]:
    for node in ast.walk(ast.parse(source)):
        if isinstance(node, ast.Import):
            yield from (alias.name.partition(".")[0] for alias in node.names)
        elif isinstance(node, ast.ImportFrom) and node.module and not node.level:
            yield node.module.partition(".")[0]


def _nameless(packages: set[str], named: set[str]) -> set[str]:
    """Those that no requirement brings by name."""
    foreign = packages - OURS - set(sys.stdlib_module_names)
    brought_by = packages_distributions()
    return {each for each in foreign if not named & {_plain(name) for name in brought_by.get(each, [])}}


def test_every_package_that_the_rooms_import_is_named_in_the_requirements() -> None:
    files = [file for room in ROOMS for file in (ROOT / room).rglob("*.py")]
    packages = {name for file in files for name in _imported(file.read_text())}
    assert {"django", "httpx"} <= packages
    assert _nameless(packages, _named()) == set()


def test_one_that_only_comes_along_is_found() -> None:
    """The control."""
    named = _named()
    assert _nameless(set(_imported("import django\nfrom httpx import URL")), named) == set()
    assert _nameless(set(_imported("import django\nfrom httpx import URL")), named - {"httpx"}) == {"httpx"}
