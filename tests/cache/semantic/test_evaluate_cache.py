"""The command, on pairs it never saw and on files that it cannot use. Only a judge touches the database."""

from __future__ import annotations

import json
from io import StringIO
from pathlib import Path
from typing import Any

import pytest
from django.core.management import CommandError, call_command

from agents.cache.semantic import verifier
from agents.gateway.models import ModelCall
from agents.testing import ScriptedChatModel, named_model
from tests.gateway.routes import deployment, route

ROWS = [
    {"a": "How do I feed a tortoise?", "b": "how do i feed a tortoise", "same_answer": True, "category": "near_repeat"},
    {"a": "How do I feed a tortoise?", "b": "How do I feed 2 goats and a hen?", "same_answer": False},
    {
        "a": [{"role": "user", "content": "My tap drips"}, {"role": "assistant", "content": "Shall I book a plumber?"},
              {"role": "user", "content": "yes"}],
        "b": [{"role": "user", "content": "My tap drips"}, {"role": "assistant", "content": "Shall I send a leaflet?"},
              {"role": "user", "content": "yes"}],
        "same_answer": False,
        "subtype": "intent_flip",
    },
]  # fmt: skip


@pytest.fixture
def pairs(tmp_path: Path) -> Path:
    path = tmp_path / "pairs.jsonl"
    path.write_text("\n".join(json.dumps(row) for row in ROWS))
    return path


def run(*arguments: Any) -> str:
    out = StringIO()
    call_command("evaluate_cache", *map(str, arguments), stdout=out)
    return out.getvalue()


def test_json_has_settings_categories_and_the_curve(pairs: Path) -> None:
    found = json.loads(run("--pairs", pairs, "--json", "--error-target", "0.1"))
    assert found["settings"]["relaxed"]["true_served"] == 1.0
    assert found["settings"]["relaxed"]["traps_served"] == found["settings"]["default"]["traps_served"] == 0.0
    assert found["categories"]["near_repeat"] == {
        "pairs": 1,
        "same_answer": 1,
        "served": {"default": found["settings"]["default"]["true_served"], "relaxed": 1.0},
    }
    assert set(found["categories"]) == {"near_repeat", "intent_flip", "other"}
    assert len(found["curve"]) == 51
    assert all(len(point) == 3 for point in found["curve"])
    assert found["cross_fitted"] == 0
    assert found["calibrated"]["threshold"] is None


def test_the_table_names_every_setting_and_category(pairs: Path) -> None:
    table = run("--pairs", pairs)
    assert all(word in table for word in ("default", "relaxed", "near_repeat", "intent_flip", "100.0 %", "threshold"))


def test_a_scripted_judge_is_asked_about_near_misses_only(pairs: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    asked: list[str] = []

    def judge(one: Any, other: Any) -> bool:
        asked.append(one[-1].content)
        return False

    monkeypatch.setattr("agents.cache.management.commands.evaluate_cache.chat_judge", lambda name: judge)
    monkeypatch.setattr(verifier, "threshold", lambda setting, kind: {"refused": 0.0}.get(setting, 0.99))
    found = json.loads(run("--pairs", pairs, "--json", "--judge", "openai:any"))
    assert "How do I feed a tortoise?" in asked
    assert found["settings"]["judged"]["traps_served"] == 0.0


@pytest.mark.django_db(transaction=True)
def test_a_judge_is_asked_through_the_gateway(pairs: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(verifier, "threshold", lambda setting, kind: {"refused": 0.0}.get(setting, 0.99))
    asked = ScriptedChatModel(replies=["Yes."], repeat_last=True)
    with named_model(asked) as name:
        found = json.loads(run("--pairs", pairs, "--json", "--judge", name))
        assert found["settings"]["judged"]["true_served"] == 1.0
        calls = ModelCall.objects.filter(route=name, outcome="succeeded")
        assert 0 < calls.count() == len(asked.requests)
        _provider, _colon, model = name.partition(":")
        target = route("judge", deployment("judge", provider="scripted", model=model))
        run("--pairs", pairs, "--judge", target)
    assert ModelCall.objects.filter(route=target, outcome="succeeded").exists()
    with pytest.raises(CommandError, match="no route “nowhere”"):
        run("--pairs", pairs, "--judge", "route:nowhere")


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ("", "no pairs"),
        ("{nonsense", "Line 1 is not JSON"),
        ("[nonsense", "not JSON"),
        ('{"a": "x", "same_answer": true}', "Row 1 has no b"),
        ('{"a": "x", "b": "y", "same_answer": true}\n{"a": "x", "b": "y"}', "Row 2 has no same_answer"),
        ('{"a": "x", "b": "y", "same_answer": "yes"}', "neither true nor false"),
        ('{"a": "x", "b": [], "same_answer": true}', "no user turn"),
        ("5", "Row 1 has no a"),
    ],
)
def test_a_file_that_cannot_be_used_is_one_sentence(tmp_path: Path, text: str, says: str) -> None:
    path = tmp_path / "pairs.jsonl"
    path.write_text(text)
    with pytest.raises(CommandError, match=says):
        run("--pairs", path)


def test_a_missing_file_and_a_wrong_number_are_one_sentence(tmp_path: Path, pairs: Path) -> None:
    with pytest.raises(CommandError, match="cannot be read"):
        run("--pairs", tmp_path / "absent.jsonl")
    with pytest.raises(CommandError, match="two folds"):
        run("--pairs", pairs, "--folds", 1)
    with pytest.raises(CommandError, match="between 0 and 1"):
        run("--pairs", pairs, "--error-target", 2)
    with pytest.raises(CommandError, match="not a model"):
        run("--pairs", pairs, "--judge", "nonsense")
