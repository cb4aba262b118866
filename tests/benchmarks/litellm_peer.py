"""LiteLLM's router against the scripted upstream, as a peer of our gateway.

Runs in an environment of its own that has litellm (`python -m venv PEER && PEER/bin/pip install litellm`) and knows
nothing of this project:

    PEER/bin/python tests/benchmarks/litellm_peer.py --url http://127.0.0.1:PORT/v1

Every line of standard input is an order, every line of standard output its answer, both JSON. The orders:
`{"do": "about"}`, `{"do": "added", "calls": 300}`, `{"do": "together", "calls": 3000, "at_a_time": 32}`, and
`{"do": "faults", "calls": 500, "at_a_time": 8, "stream": true, "text": "the whole answer", "faulty_url": …}`.
Times are in milliseconds.
"""

from __future__ import annotations

import argparse
import asyncio
import contextlib
import importlib
import importlib.metadata
import json
import os
import sys
import threading
import time
from collections import Counter
from collections.abc import Awaitable, Callable, Iterator
from dataclasses import dataclass, field
from statistics import median, quantiles
from typing import Any

import openai

MESSAGES: Any = [{"role": "user", "content": "Hello, how are you today?"}]
KEY = "of-this-measurement"
WARM_UP = 30
# As its documentation sets them up: https://docs.litellm.ai/docs/routing
ROUTER = {
    "num_retries": 3, "allowed_fails": 1, "cooldown_time": 5, "timeout": 10, "stream_timeout": 1,
    "enable_mid_stream_fallback_continuation": True,
}  # fmt: skip

Call = Callable[[], object]


def main() -> None:
    parser = argparse.ArgumentParser(prog="litellm_peer")
    parser.add_argument("--url", required=True, help="of the scripted upstream, ending in /v1")
    # The list of prices that comes with it; otherwise it asks the network for one.
    os.environ["LITELLM_LOCAL_MODEL_COST_MAP"] = "True"
    with contextlib.redirect_stdout(sys.stderr):
        # Its banners are no answers.
        peer = Peer(importlib.import_module("litellm"), parser.parse_args().url)
    for line in sys.stdin:
        with contextlib.redirect_stdout(sys.stderr):
            answer = peer.obey(json.loads(line))
        sys.stdout.write(json.dumps(answer) + "\n")
        sys.stdout.flush()


@dataclass
class Outcomes:
    """What calls took, and how those that failed have failed."""

    took: list[float] = field(default_factory=list)
    failed: Counter[str] = field(default_factory=Counter)

    def add(self, began: float, failure: str | None) -> None:
        """A call that began then (`time.perf_counter()`) and is over now."""
        self.took.append((time.perf_counter() - began) * 1000)
        if failure is not None:
            self.failed[failure] += 1

    def written(self) -> dict[str, Any]:
        """As JSON."""
        return {
            "calls": len(self.took), "succeeded": len(self.took) - self.failed.total(), "failed": self.failed,
            "p50": median(self.took), "p95": quantiles(self.took, n=20)[-1],
        }  # fmt: skip


class Peer:
    """Measures LiteLLM."""

    def __init__(self, litellm: Any, url: str) -> None:
        self._litellm, self._url = litellm, url
        litellm.suppress_debug_info = True
        self._bare = openai.OpenAI(base_url=url, api_key=KEY, max_retries=0)

    def obey(self, order: dict[str, Any]) -> dict[str, Any]:
        """Does what is asked."""
        work: dict[str, Callable[..., dict[str, Any]]] = {
            "about": self.about,
            "added": self.added,
            "together": self.together,
            "faults": self.faults,
        }
        return work[order.pop("do")](**order)

    def about(self) -> dict[str, Any]:
        """Who this is."""
        return {"version": importlib.metadata.version("litellm"), "openai": importlib.metadata.version("openai")}

    def added(self, calls: int) -> dict[str, Any]:
        """One at a time, turn about with the bare client."""
        router = self._router()
        found = turn_about(calls, self._ask_bare, lambda: router.completion(model="chat", messages=MESSAGES))
        return {"bare_p50": found[0], "p50": found[1], "added_p50": found[1] - found[0], "added_p95": found[2]}

    def together(self, calls: int, at_a_time: int) -> dict[str, Any]:
        """Calls a second: with threads and with tasks, and the bare client."""
        router = self._router()

        def ask() -> object:
            return router.completion(model="chat", messages=MESSAGES)

        threads = _by_threads(calls, at_a_time, ask)
        bare = _by_threads(calls, at_a_time, self._ask_bare)
        tasks = asyncio.run(_by_tasks(calls, at_a_time, self._router))
        return {"threads": threads, "tasks": tasks, "bare_threads": bare}

    def faults(
        self, calls: int, at_a_time: int, *, stream: bool, text: str, faulty_url: str | None = None
    ) -> dict[str, Any]:
        """Two deployments, of which one is faulty."""
        router = self._router({"faulty": faulty_url or self._url, "sound": self._url})
        outcomes = Outcomes()

        def ask() -> None:
            began = time.perf_counter()
            try:
                found = _text_of(router.completion(model="chat", messages=MESSAGES, stream=stream), stream=stream)
                failure = None if found.endswith(text) else "incomplete"
            except Exception as error:
                failure = type(error).__name__
            outcomes.add(began, failure)

        in_threads(calls, at_a_time, ask)
        return outcomes.written()

    def _ask_bare(self) -> object:
        return self._bare.chat.completions.create(model="sound", messages=MESSAGES)

    def _router(self, deployments: dict[str, str] | None = None) -> Any:
        models = [
            {
                "model_name": group,
                "litellm_params": {"model": f"openai/{name}", "api_base": url, "api_key": KEY},
            }
            for group, name, url in _groups(deployments or {"sound": self._url})
        ]
        return self._litellm.Router(model_list=models, fallbacks=[{"chat": ["spare"]}], **ROUTER)


def _groups(deployments: dict[str, str]) -> Iterator[tuple[str, str, str]]:
    for name, url in deployments.items():
        yield "chat", name, url
    yield "spare", "sound", deployments["sound"]


def _text_of(answer: Any, *, stream: bool) -> str:
    if not stream:
        return answer.choices[0].message.content or ""
    return "".join(chunk.choices[0].delta.content or "" for chunk in answer if chunk.choices)


def turn_about(calls: int, bare: Call, routed: Call) -> tuple[float, float, float]:
    """Medians of both, and how much later the 95th of a hundred comes, in milliseconds."""
    took: tuple[list[float], list[float]] = ([], [])
    for number in range(calls + WARM_UP):
        for found, call in zip(took, (bare, routed), strict=True):
            began = time.perf_counter()
            call()
            if number >= WARM_UP:
                found.append((time.perf_counter() - began) * 1000)
    late = [quantiles(each, n=20)[-1] for each in took]
    return median(took[0]), median(took[1]), late[1] - late[0]


def _by_threads(calls: int, at_a_time: int, call: Call) -> float:
    in_threads(at_a_time * 3, at_a_time, call)
    began = time.perf_counter()
    in_threads(calls, at_a_time, call)
    return calls / (time.perf_counter() - began)


def in_threads(calls: int, at_a_time: int, call: Call) -> None:
    """Makes so many calls."""
    left = iter(range(calls))
    lock = threading.Lock()

    def work() -> None:
        while True:
            with lock:
                if next(left, None) is None:
                    return
            call()

    threads = [threading.Thread(target=work) for _ in range(at_a_time)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()


async def _by_tasks(calls: int, at_a_time: int, make: Callable[[], Any]) -> float:
    router = make()

    def ask() -> Awaitable[object]:
        answer: Awaitable[object] = router.acompletion(model="chat", messages=MESSAGES)
        return answer

    async def work(many: int) -> None:
        for _ in range(many):
            await ask()

    await asyncio.gather(*(work(3) for _ in range(at_a_time)))
    began = time.perf_counter()
    await asyncio.gather(*(work(calls // at_a_time) for _ in range(at_a_time)))
    return calls // at_a_time * at_a_time / (time.perf_counter() - began)


if __name__ == "__main__":
    main()
