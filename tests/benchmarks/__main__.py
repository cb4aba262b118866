"""`make bench`: every mark beside its goal, median of three rounds, alone on the machine.

Prints a table, and with --write puts it into docs/benchmarks.md. Traffic goes to 127.0.0.1 only.
"""

from __future__ import annotations

import argparse
import os
import platform
import subprocess
import sys
import tempfile
from collections.abc import Sequence
from datetime import UTC, datetime
from pathlib import Path
from statistics import median

from tests.benchmarks.counting import measure_counting
from tests.benchmarks.marks import MARKS, Figure, measure
from tests.benchmarks.pages import measure_pages
from tests.site import ROOT, running

POSTGRESQL = "postgres://postgres@127.0.0.1:5432/mutirao_bench"
REDIS = "redis://127.0.0.1:6379/13"
ROUNDS = 3
PARTS = ("speed", "counting", "pages")


def main() -> None:
    options = _options()
    tables: list[str] = []
    for name, environ in _back_ends(options):
        figures = _rounds(environ, rounds=options.rounds, parts=options.part or PARTS)
        tables.append(_table(name, figures))
        sys.stdout.write(tables[-1] + "\n")
        sys.stdout.flush()
    if options.write:
        _write(tables)


def _options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="make bench")
    parser.add_argument("--rounds", type=int, default=ROUNDS)
    parser.add_argument("--only", choices=("sqlite", "postgresql"))
    parser.add_argument("--part", action="append", choices=PARTS, help="may be repeated (default: all)")
    parser.add_argument("--write", action="store_true", help="into docs/benchmarks.md")
    parser.add_argument("--database", default=os.environ.get("DATABASE_URL", POSTGRESQL))
    parser.add_argument("--redis", default=os.environ.get("REDIS_URL", REDIS))
    return parser.parse_args()


def _back_ends(options: argparse.Namespace) -> list[tuple[str, dict[str, str]]]:
    both = [
        ("sqlite", "SQLite + embedded Valkey", {}),
        ("postgresql", "PostgreSQL + Redis", {"DATABASE_URL": options.database, "REDIS_URL": options.redis}),
    ]
    return [(title, environ) for name, title, environ in both if options.only in (None, name)]


def _rounds(environ: dict[str, str], *, rounds: int, parts: Sequence[str]) -> list[Figure]:
    if database := environ.get("DATABASE_URL"):
        _make_database(database)
    with (
        tempfile.TemporaryDirectory(prefix="mutirao-bench-") as folder,
        running(Path(folder), MUTIRAO_APPS="tests.parts", LOG_LEVEL="WARNING", **environ) as site,
    ):
        site.make_key()
        found = [measure(site) for _ in range(rounds)] if "speed" in parts else [{}]
        # Once: exact or not. And once, as it fills the database; each figure is a median already.
        once = measure_counting(site) if "counting" in parts else {}
        once |= measure_pages(site) if "pages" in parts else {}
    return [
        Figure(mark=mark, value=median({**once, **each}[mark.name] for each in found))
        for mark in MARKS
        if mark.name in {**once, **found[0]}
    ]


def _make_database(url: str) -> None:
    server, _, name = url.rpartition("/")
    for statement in (f'DROP DATABASE IF EXISTS "{name}"', f'CREATE DATABASE "{name}"'):
        subprocess.run(["psql", "-q", f"{server}/postgres", "-c", statement], check=True, stderr=subprocess.DEVNULL)


def _table(name: str, figures: list[Figure]) -> str:
    lines = [f"### {name}", "", "| mark | measured | goal | floor | |", "| --- | ---: | ---: | ---: | --- |"]
    lines += [figure.row() for figure in figures]
    return "\n".join([*lines, ""])


def _write(tables: list[str]) -> None:
    file = ROOT / "docs" / "benchmarks.md"
    head, _, _ = file.read_text().partition("<!-- measured -->")
    commit = subprocess.run(["git", "rev-parse", "--short", "HEAD"], cwd=ROOT, capture_output=True, text=True)
    said = (
        f"`make bench ARGS=--write`, {datetime.now(UTC):%Y-%m-%d}, at {commit.stdout.strip()}, "
        f"Python {platform.python_version()}, {os.cpu_count()} cores shared by everything, clients included."
    )
    file.write_text(f"{head}<!-- measured -->\n\n{said}\n\n" + "\n".join(tables))


if __name__ == "__main__":
    main()
