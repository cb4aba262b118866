"""`make bench`: every mark beside its goal, median of three rounds, alone on the machine.

`make bench ARGS="--only sqlite --marks durable --rounds 1"` measures a part.

Prints a table, and with --write puts it into docs/benchmarks.md. Traffic goes to 127.0.0.1 only.
"""

from __future__ import annotations

import argparse
import os
import platform
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from pathlib import Path
from statistics import median

from tests.benchmarks.cache import CACHE_MARKS, measure_cache
from tests.benchmarks.counting import measure_counting
from tests.benchmarks.durable import measure_durable
from tests.benchmarks.gateway import GATEWAY_MARKS, measure_gateway
from tests.benchmarks.limits import measure_limits
from tests.benchmarks.lists import GOAL_MS, LOOKS_AT, mark_of, measure_lists
from tests.benchmarks.marks import MARKS, PLATFORM, Figure, Mark, measure
from tests.benchmarks.pages import measure_pages
from tests.site import ROOT, Site, running

POSTGRESQL = "postgres://postgres@127.0.0.1:5432/mutirao_bench"
REDIS = "redis://127.0.0.1:6379/13"
ROUNDS = 3
# What can be measured apart (--marks). `lists` needs PostgreSQL: there alone a million rows are made at once.
PARTS = ("requests", "counting", "limits", "pages", "durable", "lists", "gateway", "cache")
ALL_MARKS = (*MARKS, *GATEWAY_MARKS, *CACHE_MARKS, *(Mark(mark_of(each), "ms", GOAL_MS) for each in LOOKS_AT))


def main() -> None:
    options = _options()
    tables: list[str] = []
    for name, environ in _back_ends(options):
        figures = _figures(environ, parts=options.marks, rounds=options.rounds, peer=options.peer)
        tables.append(_table(name, figures))
        sys.stdout.write(tables[-1] + "\n")
        sys.stdout.flush()
    if options.write:
        _write(tables)


def _options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="make bench")
    parser.add_argument("--rounds", type=int, default=ROUNDS)
    parser.add_argument("--only", choices=("sqlite", "postgresql"))
    parser.add_argument("--marks", type=_parts, default=PARTS, help=f"some of {','.join(PARTS)}")
    parser.add_argument("--write", action="store_true", help="into docs/benchmarks.md")
    parser.add_argument("--database", default=os.environ.get("DATABASE_URL", POSTGRESQL))
    parser.add_argument("--peer", type=Path, default=os.environ.get("LITELLM_PEER"), help="an environment with litellm")
    parser.add_argument("--redis", default=os.environ.get("REDIS_URL", REDIS))
    return parser.parse_args()


def _back_ends(options: argparse.Namespace) -> list[tuple[str, dict[str, str]]]:
    both = [
        ("sqlite", "SQLite + embedded Valkey", {}),
        ("postgresql", "PostgreSQL + Redis", {"DATABASE_URL": options.database, "REDIS_URL": options.redis}),
    ]
    return [(title, environ) for name, title, environ in both if options.only in (None, name)]


def _parts(text: str) -> tuple[str, ...]:
    asked = tuple(text.split(","))
    if unknown := sorted({*asked} - {*PARTS}):
        raise argparse.ArgumentTypeError(f"no such part: {', '.join(unknown)}")
    return asked


def _figures(environ: dict[str, str], *, parts: tuple[str, ...], rounds: int, peer: Path | None) -> list[Figure]:
    found: dict[str, float] = {}
    if {"requests", "counting", "limits", "pages"} & {*parts}:
        with _site(environ) as site:
            found |= _medians([measure(site) for _ in range(rounds if "requests" in parts else 0)])
            # Once: exact or not.
            found |= measure_counting(site) if "counting" in parts else {}
            # Once: medians already.
            found |= measure_limits(site) if "limits" in parts else {}
            # Once, as it fills the database; each figure is a median already.
            found |= measure_pages(site) if "pages" in parts else {}
    if "durable" in parts:
        _make_database(environ)
        found |= _medians([measure_durable(environ) for _ in range(rounds)])
    if "gateway" in parts:
        with _site(environ) as site:
            # Once: medians already, or sums over many calls.
            found |= measure_gateway(site, peer)
    if "cache" in parts:
        with _site(environ) as site:
            # Once: medians already.
            found |= measure_cache(site)
    if "lists" in parts and "DATABASE_URL" in environ:
        with _site(environ) as site:
            found |= measure_lists(site)
    return [Figure(mark=mark, value=found[mark.name]) for mark in ALL_MARKS if mark.name in found]


@contextmanager
def _site(environ: dict[str, str]) -> Iterator[Site]:
    """A platform with nothing in it."""
    _make_database(environ)
    with (
        tempfile.TemporaryDirectory(prefix="mutirao-bench-") as folder,
        running(Path(folder), **PLATFORM | environ) as site,
    ):
        site.make_key()
        yield site


def _medians(rounds: list[dict[str, float]]) -> dict[str, float]:
    return {name: median(each[name] for each in rounds) for name in (rounds[0] if rounds else ())}


def _make_database(environ: dict[str, str]) -> None:
    url = environ.get("DATABASE_URL")
    if not url:
        return
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
