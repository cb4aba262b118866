"""What the README shows is what happens."""

from __future__ import annotations

import re
import sys
from collections.abc import Iterator
from pathlib import Path
from types import ModuleType

import pytest

from agents.definitions import AgentDefinition, registry
from agents.definitions.services import sync_agents
from agents.testing import ScriptedChatModel, call, run_agent_inline

ROOT = Path(__file__).resolve().parent.parent
README = (ROOT / "README.md").read_text()


def _block(language: str, containing: str) -> str:
    blocks: list[str] = re.findall(rf"```{language}\n(.*?)```", README, re.DOTALL)
    return next(block for block in blocks if containing in block)


@pytest.fixture
def parcels(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[type[AgentDefinition]]:
    """The README's agent, executed from a file as an app's `agents.py` would be."""
    file = tmp_path / "readme_agents.py"
    file.write_text(_block("python", "@register"))
    module = ModuleType("readme_agents")
    module.__file__ = str(file)
    monkeypatch.setitem(sys.modules, "readme_agents", module)
    exec(compile(file.read_text(), str(file), "exec"), module.__dict__)  # noqa: S102 (our own README)
    yield module.Parcels
    del registry._definitions["parcels"]


@pytest.mark.django_db(transaction=True)
def test_the_agent_of_the_readme_runs(parcels: type[AgentDefinition]) -> None:
    assert "parcels" in sync_agents()
    model = ScriptedChatModel(replies=[call("shipping_days", country="Brazil"), "It takes three days."])
    run = run_agent_inline(parcels, "How long does a parcel to Brazil take?", model=model)
    assert run.task.status == "succeeded", run.task.error_message
    assert run.tool_calls == [("shipping_days", {"country": "Brazil"})]
    assert run.tool_results == [("shipping_days", "3")]
    assert run.text == "It takes three days."


def test_the_agent_of_the_readme_has_ten_lines() -> None:
    lines = [line for line in _block("python", "@register").splitlines() if line.strip()]
    assert len(lines) <= 10


def test_every_command_and_page_of_the_readme_is_there() -> None:
    for target in re.findall(r"^make (\w+)", README, re.MULTILINE):
        assert re.search(rf"^{target}:", (ROOT / "Makefile").read_text(), re.MULTILINE), target
    for page in re.findall(r"\]\((docs/[^)]+|CHANGELOG\.md)\)", README):
        assert (ROOT / page).exists(), page
