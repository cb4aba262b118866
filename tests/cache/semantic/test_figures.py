"""What the verifier serves of pairs it did not learn from. One seed here; `evaluate_cache` draws five."""

from __future__ import annotations

import json
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pytest

from agents.cache.semantic import training, verifier
from agents.cache.semantic.evaluation import read_pairs, score_pairs, summary
from agents.cache.semantic.training import PAIRS
from agents.cache.semantic.verifier import CONVERSATIONS, QUESTIONS, Model

Figures = Callable[[str], dict[str, Any]]
pytestmark = [pytest.mark.once, pytest.mark.timeout(300)]


@pytest.fixture(scope="module")
def figures() -> Figures:
    # Most of the time goes into vectors, which are made beside each other: onnxruntime lets other threads run.
    with ThreadPoolExecutor(2) as pool:
        list(pool.map(training.examples, (CONVERSATIONS, QUESTIONS)))
    found = {
        name: summary(score_pairs(read_pairs(PAIRS / f"{name}.jsonl"), folds=5, seeds=1))
        for name in (QUESTIONS, CONVERSATIONS)
    }
    return found.__getitem__


def test_the_default_setting_serves_a_quarter_of_the_questions_and_no_trap_in_a_hundred(figures: Figures) -> None:
    found = figures(QUESTIONS)
    default = found["settings"]["default"]
    assert default["true_served"] >= 0.25
    assert default["traps_served"] <= 0.01
    assert found["cross_fitted"] == found["pairs"] > 200
    for side in ("true", "traps"):
        least, most = default[f"{side}_served_interval"]
        assert 0 <= least <= default[f"{side}_served"] <= most <= 1


def test_the_relaxed_setting_serves_two_thirds_and_nine_near_repeats_of_ten(figures: Figures) -> None:
    found = figures(QUESTIONS)
    assert found["settings"]["relaxed"]["true_served"] >= 0.65
    assert found["settings"]["relaxed"]["traps_served"] <= 0.05
    assert found["categories"]["near_repeat"]["served"]["relaxed"] >= 0.9


def test_conversations_are_served_by_both_settings_and_their_traps_are_not(figures: Figures) -> None:
    settings = figures(CONVERSATIONS)["settings"]
    assert settings["default"]["true_served"] >= 0.4
    assert settings["relaxed"]["true_served"] >= 0.6
    assert settings["relaxed"]["traps_served"] <= 0.05


def test_cosine_alone_would_not_do(figures: Figures) -> None:
    """The control: at the cosine that serves one trap in a hundred, fewer than 25 % of the true pairs are served."""
    del figures
    shared = {training.key_of(pair.a, pair.b) for pair in read_pairs(PAIRS / "questions.jsonl")}
    rows = [(each.row[0], each.label) for each in training.examples(QUESTIONS) if each.key in shared]
    traps = sorted((cosine for cosine, label in rows if not label), reverse=True)
    trues = [cosine for cosine, label in rows if label]
    assert sum(cosine > traps[len(traps) // 100] for cosine in trues) / len(trues) < 0.25


def test_a_judge_that_is_right_promotes_nine_of_ten(figures: Figures) -> None:
    pairs = read_pairs(PAIRS / "questions.jsonl")
    right = {(pair.a, pair.b): pair.same_answer for pair in pairs}
    del figures
    scored = score_pairs(pairs, folds=5, seeds=1, judge=lambda one, other: right[one, other])
    judged = summary(scored, judged=True)["settings"]["judged"]
    assert judged["true_served"] >= 0.9
    assert judged["traps_served"] <= 0.01


def test_the_committed_weights_are_what_training_gives(figures: Figures) -> None:
    del figures
    learned = {kind: training.fit(training.examples(kind)).as_json() for kind in (QUESTIONS, CONVERSATIONS)}
    committed = json.loads(verifier.WEIGHTS.read_text())["learned"]
    for kind in (QUESTIONS, CONVERSATIONS):
        assert learned[kind]["line"]["weights"] == pytest.approx(committed[kind]["line"]["weights"], abs=1e-4)
        assert len(learned[kind]["forests"]) == len(committed[kind]["forests"])
        for mine, theirs in zip(learned[kind]["forests"], committed[kind]["forests"], strict=True):
            assert mine["figure"] == theirs["figure"]


def test_a_saved_model_is_loaded_as_it_was(tmp_path: Path) -> None:
    path = tmp_path / "weights.json"
    verifier.shipped().save(path)
    assert path.read_bytes() == verifier.WEIGHTS.read_bytes()
    assert Model.load(path).thresholds == verifier.shipped().thresholds


def test_weights_of_other_figures_are_refused(tmp_path: Path) -> None:
    given = json.loads(verifier.WEIGHTS.read_text())
    given["figures"]["questions"] = ["cosine"]
    path = tmp_path / "weights.json"
    path.write_text(json.dumps(given))
    with pytest.raises(ValueError, match="train again"):
        Model.load(path)
