"""Model relations and migration dependencies point down, like the imports."""

from __future__ import annotations

import tomllib
from pathlib import Path

import pytest
from django.apps import AppConfig, apps
from django.db import connection
from django.db.migrations.loader import MigrationLoader

pytestmark = pytest.mark.embedded

ROOT = Path(__file__).resolve().parents[2]


def _heights() -> dict[str, int]:
    """App label → height in the house; rooms side by side share one. Read from the import contract itself."""
    contracts = tomllib.loads((ROOT / "pyproject.toml").read_text())["tool"]["importlinter"]["contracts"]
    layers = next(contract["layers"] for contract in contracts if contract["id"] == "rooms")
    names = {room.strip(): height for height, layer in enumerate(reversed(layers)) for room in layer.split("|")}
    return {config.label: names[config.name] for config in _rooms(names)}


def _rooms(names: dict[str, int]) -> list[AppConfig]:
    return [config for config in apps.get_app_configs() if config.name in names]


HEIGHTS = _heights()


def test_every_installed_room_has_a_height() -> None:
    ours = {config.label for config in apps.get_app_configs() if Path(config.path).is_relative_to(ROOT)}
    installed = {label for label in ours if ".venv" not in apps.get_app_config(label).path}
    assert installed <= HEIGHTS.keys()


def test_foreign_keys_point_down_or_stay_in_the_room() -> None:
    upward = [
        f"{model._meta.label}.{field.name} → {field.related_model._meta.label}"
        for label, height in HEIGHTS.items()
        for model in apps.get_app_config(label).get_models()
        for field in model._meta.get_fields()
        if field.is_relation and field.concrete and field.related_model
        if HEIGHTS.get(field.related_model._meta.app_label, -1) >= height
        if field.related_model._meta.app_label != label
    ]
    assert upward == []


def test_migrations_depend_downward() -> None:
    loader = MigrationLoader(connection, load=False)
    loader.load_disk()
    upward = [
        f"{label}.{name} → {other}"
        for (label, name), migration in loader.disk_migrations.items()
        if label in HEIGHTS
        for other, _ in migration.dependencies
        if other != label and HEIGHTS.get(other, -1) >= HEIGHTS[label]
    ]
    assert upward == []
