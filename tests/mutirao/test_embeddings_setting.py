"""A wrong MUTIRAO_EMBEDDINGS is named at start."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from django.core.checks import run_checks


def _found() -> list[str]:
    return [str(each.msg) for each in run_checks(tags=["environment"]) if each.id == "mutirao.E050"]


@pytest.mark.parametrize("files", [(), ("model.onnx",), ("tokenizer.json",), ("onnx/tokenizer.json", "model.onnx")])
def test_a_folder_that_lacks_a_file_is_named(tmp_path: Path, settings: Any, files: tuple[str, ...]) -> None:
    (tmp_path / "onnx").mkdir()
    for name in files:
        (tmp_path / name).touch()
    settings.EMBEDDINGS_MODEL = f"onnx:{tmp_path}"
    [sentence] = _found()
    assert "has no model.onnx with a tokenizer.json" in sentence


@pytest.mark.parametrize("model", ["model.onnx", "onnx/model.onnx"])
def test_a_folder_with_both_is_taken(tmp_path: Path, settings: Any, model: str) -> None:
    (tmp_path / "onnx").mkdir()
    for name in (model, "tokenizer.json"):
        (tmp_path / name).touch()
    settings.EMBEDDINGS_MODEL = f"onnx:{tmp_path}"
    assert _found() == []
