"""Two requests that differ in anything but the order of mappings and random ids never share an answer."""

from __future__ import annotations

import copy
import random
import string
import uuid
from collections.abc import Callable
from dataclasses import replace
from typing import Any

import pytest
from langchain_core.messages import AIMessage, HumanMessage, SystemMessage, ToolMessage

from agents.cache import canonical, epochs
from agents.cache.scope import Scope, scope_of
from agents.definitions.cache_policy import CachePolicy
from agents.gateway.answers import ModelRequest
from tests.cache.fakes import request

pytestmark = pytest.mark.embedded

PAIRS = 10_000
Made = tuple[ModelRequest, CachePolicy]


def _word(chance: random.Random) -> str:
    return "".join(chance.choices(string.ascii_letters + " é1", k=chance.randint(1, 12)))


def _value(chance: random.Random, deep: int = 0) -> Any:
    kinds: list[Callable[[], Any]] = [
        lambda: _word(chance), lambda: chance.randint(-9, 9), chance.random, lambda: True, lambda: None,
    ]  # fmt: skip
    if deep < 2:
        kinds += [
            lambda: [_value(chance, deep + 1) for _ in range(chance.randint(0, 3))],
            lambda: {_word(chance): _value(chance, deep + 1) for _ in range(chance.randint(0, 3))},
        ]
    return chance.choice(kinds)()


def _messages(chance: random.Random) -> list[Any]:
    said: list[Any] = [SystemMessage(_word(chance))] if chance.random() < 0.5 else []
    for _ in range(chance.randint(1, 3)):
        said.append(HumanMessage(_word(chance)))
        if chance.random() < 0.4:
            name = uuid.uuid4().hex
            said += [
                AIMessage(
                    "", tool_calls=[{"name": _word(chance), "args": {_word(chance): _value(chance)}, "id": name}]
                ),
                ToolMessage(_word(chance), tool_call_id=name),
            ]
        else:
            said.append(AIMessage(_word(chance)))
    return [*said, HumanMessage(_word(chance))]


def _made(chance: random.Random) -> Made:
    asked = request(
        *_messages(chance),
        target=_word(chance),
        parameters={_word(chance): _value(chance) for _ in range(chance.randint(0, 3))},
        options={
            "tools": [{"name": _word(chance), "parameters": _value(chance)}],
            "tool_choice": _word(chance),
            "response_format": {_word(chance): _value(chance)},
            "stop": [_word(chance)],
        },
        agent_id=uuid.UUID(int=chance.getrandbits(128)),
        agent_version_id=uuid.UUID(int=chance.getrandbits(128)),
        owner_id=uuid.UUID(int=chance.getrandbits(128)),
    )
    return asked, CachePolicy()


def _with_context(made: Made, **changes: Any) -> Made:
    return replace(made[0], context=replace(made[0].context, **changes)), made[1]


def _with_option(made: Made, name: str, value: Any) -> Made:
    return replace(made[0], options={**made[0].options, name: value}), made[1]


def _with_system(made: Made, chance: random.Random) -> Made:
    others = [each for each in made[0].messages if each.type != "system"]
    return replace(made[0], messages=[SystemMessage(f"another {chance.random()}"), *others]), made[1]


# What the scope is made of: each makes of a request one that differs in it alone.
DIFFERENCES: dict[str, Callable[[Made, random.Random], Made]] = {
    "owner": lambda made, chance: _with_context(made, owner_id=uuid.UUID(int=chance.getrandbits(128))),
    "agent": lambda made, chance: _with_context(made, agent_id=uuid.UUID(int=chance.getrandbits(128))),
    "version": lambda made, chance: _with_context(made, agent_version_id=uuid.UUID(int=chance.getrandbits(128))),
    "model": lambda made, _chance: (replace(made[0], target=made[0].target + "x"), made[1]),
    "parameters": lambda made, chance: (
        replace(made[0], parameters={**made[0].parameters, "seed": chance.random()}), made[1],
    ),
    "system prompt": _with_system,
    "tools": lambda made, chance: _with_option(made, "tools", [{"name": f"other {chance.random()}"}]),
    "tool choice": lambda made, chance: _with_option(made, "tool_choice", f"other {chance.random()}"),
    "response format": lambda made, chance: _with_option(made, "response_format", {"other": chance.random()}),
    "stop": lambda made, chance: _with_option(made, "stop", [f"other {chance.random()}"]),
    "sharing": lambda made, _chance: (made[0], CachePolicy(shareable=True)),
    "knowledge": lambda made, chance: (made[0], CachePolicy(knowledge=(f"base {chance.random()}",))),
}  # fmt: skip


@pytest.fixture(autouse=True)
def _epochs(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(epochs, "numbers_of", lambda names: dict.fromkeys(names, 1))


def _scope(made: Made) -> Scope:
    return scope_of(*made, canonical.messages_of(made[0].messages))


def _mixed(value: Any, chance: random.Random) -> Any:
    """The same, the entries of its mappings in another order."""
    if isinstance(value, dict):
        names = [*value]
        chance.shuffle(names)
        return {name: _mixed(value[name], chance) for name in names}
    return [_mixed(item, chance) for item in value] if isinstance(value, list) else copy.copy(value)


def _same_again(made: Made, chance: random.Random) -> Made:
    """The same request as another process would build it: other ids of tool calls and messages, another order."""
    names: dict[str, str] = {}
    messages: list[Any] = []
    for said in made[0].messages:
        again = said.model_copy(update={"id": uuid.uuid4().hex}, deep=True)
        for call in getattr(again, "tool_calls", ()):
            call["id"] = names.setdefault(call["id"], uuid.uuid4().hex)
            call["args"] = _mixed(call["args"], chance)
        if isinstance(again, ToolMessage):
            again.tool_call_id = names[again.tool_call_id]
        messages.append(again)
    mixed = {"parameters": _mixed(made[0].parameters, chance), "options": _mixed(made[0].options, chance)}
    return replace(made[0], messages=messages, streamed=not made[0].streamed, **mixed), made[1]


def test_requests_that_differ_in_any_part_of_the_scope_share_nothing() -> None:
    chance, seen = random.Random(6), dict.fromkeys(DIFFERENCES, 0)
    for number in range(PAIRS):
        name = [*DIFFERENCES][number % len(DIFFERENCES)]
        made = _made(chance)
        one, other = _scope(made), _scope(DIFFERENCES[name](made, chance))
        assert one.exact != other.exact, name
        assert one.digest != other.digest, name
        seen[name] += 1
    assert min(seen.values()) >= PAIRS // len(DIFFERENCES)


def test_requests_that_differ_in_what_was_said_share_no_exact_answer() -> None:
    chance = random.Random(7)
    for _ in range(2_000):
        made = _made(chance)
        messages = [*made[0].messages]
        place = chance.choice([n for n, each in enumerate(messages) if each.type != "system"])
        messages[place] = messages[place].model_copy(update={"content": f"{messages[place].content} {chance.random()}"})
        other = _scope((replace(made[0], messages=messages), made[1]))
        assert other.exact != _scope(made).exact
        # That is for the semantic tier to compare.
        assert other.digest == _scope(made).digest


def test_the_same_request_is_the_same_whatever_the_order_and_the_ids() -> None:
    chance = random.Random(8)
    for _ in range(2_000):
        made = _made(chance)
        assert _scope(made).exact == _scope(_same_again(made, chance)).exact


def test_random_requests_have_digests_of_their_own() -> None:
    chance = random.Random(9)
    assert len({_scope(_made(chance)).exact for _ in range(2_000)}) == 2_000


@pytest.mark.parametrize("name", ["owner", "agent", "version", "target", "parameters", "options", "prompt", "epoch"])
def test_a_scope_without_one_of_its_parts_would_be_found_out(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    whole = canonical.digest

    def poorer(value: Any) -> str:
        return whole({**value, name: ""} if isinstance(value, dict) and "form" in value else value)

    monkeypatch.setattr(canonical, "digest", poorer)
    with pytest.raises(AssertionError):
        test_requests_that_differ_in_any_part_of_the_scope_share_nothing()


def test_what_looks_alike_is_not_the_same() -> None:
    pairs: list[tuple[Any, Any]] = [
        ({"n": 1}, {"n": True}), ({"n": 1}, {"n": "1"}), ({"n": None}, {"n": "null"}), ({"n": [[], []]}, {"n": [[[]]]}),
    ]  # fmt: skip
    for one, other in pairs:
        assert canonical.digest(canonical.plain(one)) != canonical.digest(canonical.plain(other))


def test_a_tool_answer_belongs_to_its_own_call() -> None:
    calls = [{"name": "days", "args": {"to": to}, "id": to} for to in ("pt", "br")]

    def asked(first: str, second: str) -> Made:
        answers = [ToolMessage("3", tool_call_id=first), ToolMessage("9", tool_call_id=second)]
        return request("how long?", AIMessage("", tool_calls=calls), *answers), CachePolicy()

    assert _scope(asked("pt", "br")).exact != _scope(asked("br", "pt")).exact


def test_what_is_not_json_is_refused() -> None:
    loop: dict[str, Any] = {}
    loop["self"] = loop
    for value in (object(), {1: 2}, b"x", {1, 2}, float("inf"), loop, lambda: 1):
        with pytest.raises(canonical.NotCanonical):
            canonical.plain(value)
