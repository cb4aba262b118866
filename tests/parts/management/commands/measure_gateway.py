"""What the gateway adds to a provider's client, and what it bears: prints a JSON object of mark → figure.

The upstream is one of tests.upstream, already running. What is set up here stays.
"""

from __future__ import annotations

import asyncio
import gc
import json
import time
import uuid
from collections.abc import Awaitable, Callable, Mapping
from typing import Any

from django.core.management.base import BaseCommand, CommandParser
from langchain_core.language_models import BaseChatModel
from langchain_core.messages import HumanMessage
from langchain_openai import ChatOpenAI
from pydantic import SecretStr

from accounts.audit import SYSTEM
from agents.gateway import services
from agents.gateway.chat import chat_model
from agents.gateway.data import CallContext
from agents.gateway.ledger import calls as ledger
from agents.gateway.models import Deployment, ModelCall
from agents.gateway.restarts import restart_of
from agents.gateway.services import Step
from tests.benchmarks.faulty import AT_A_TIME, CALLS, TEXT, Trouble
from tests.benchmarks.gateway import ALONE, FEW, MANY, OURS, THREADS, TOGETHER, troubled
from tests.benchmarks.litellm_peer import WARM_UP, Outcomes, in_threads, turn_about
from tests.benchmarks.resident import resident_mb
from tests.upstream.client import Upstream
from tests.upstream.script import OTHERS, Behaviour

MESSAGES = [HumanMessage("Hello, how are you today?")]
KEY = "of-this-measurement"
PATIENCE = {"deadline_seconds": 30.0, "first_token_seconds": 1.0, "stall_seconds": 1.0}


class Command(BaseCommand):
    help = "Measures the gateway against a scripted upstream."

    def add_arguments(self, parser: CommandParser) -> None:
        parser.add_argument("--upstream", required=True, help="its address")
        parser.add_argument("--closed", required=True, help="a base URL where nobody answers")
        parser.add_argument("--many", type=int, default=MANY, help="calls after which memory is looked at")

    def handle(self, *args: Any, **options: Any) -> None:
        upstream = Upstream(options["upstream"])
        upstream.script({OTHERS: Behaviour()})
        ledger.start()
        try:
            figures = _speed(upstream) | _memory(upstream, options["many"]) | _trouble(upstream, options["closed"])
        finally:
            _end_ledger()
        self.stdout.write(json.dumps(figures))


def _written() -> int:
    """How many calls are in the ledger when nothing waits to be written."""
    _end_ledger()
    try:
        return ModelCall.objects.count()
    finally:
        ledger.start()


def _end_ledger() -> None:
    thread = ledger.end(within=30)
    if thread is not None:
        thread.join(30)


def _speed(upstream: Upstream) -> dict[str, float]:
    bare = ChatOpenAI(model="sound", base_url=upstream.url, api_key=SecretStr(KEY), max_retries=0)
    ours = _route(upstream.url, sound=upstream.url)
    bare_p50, p50, added_p95 = turn_about(ALONE, lambda: bare.invoke(MESSAGES), lambda: ours.invoke(MESSAGES))
    return {
        f"{OURS}, added to ChatOpenAI, p50": p50 - bare_p50,
        f"{OURS}, added to ChatOpenAI, p95": added_p95,
        f"ChatOpenAI alone, {THREADS} at a time (baseline)": _rate(lambda: bare.invoke(MESSAGES)),
        f"{OURS}, {THREADS} at a time, streamed": _rate(lambda: _said(ours, stream=True)),
        f"{OURS}, {THREADS} at a time, asynchronous": asyncio.run(_async_rate(lambda: ours.ainvoke(MESSAGES))),
    }


def _memory(upstream: Upstream, many: int) -> dict[str, float]:
    """Many calls at a time, and what they leave behind."""
    ours, before = _route(upstream.url, sound=upstream.url), _written()
    in_threads(FEW, THREADS, lambda: ours.invoke(MESSAGES))
    (resident, objects), began = _held(), time.perf_counter()
    in_threads(many - FEW, THREADS, lambda: ours.invoke(MESSAGES))
    rate, (more_resident, more_objects) = (many - FEW) / (time.perf_counter() - began), _held()
    return {
        f"{OURS}, {THREADS} at a time": rate,
        f"{OURS}, memory after {MANY:,} calls less that after {FEW:,}": more_resident - resident,
        f"{OURS}, objects after {MANY:,} calls less those after {FEW:,}": more_objects - objects,
        f"{OURS}, calls that are not in the ledger": many - (_written() - before),
    }


def _held() -> tuple[float, int]:
    """Megabytes and Python objects of this process when nothing waits to be written."""
    _written()
    return resident_mb(), len(gc.get_objects())


def _trouble(upstream: Upstream, closed: str) -> dict[str, float]:
    def call(trouble: Trouble) -> Mapping[str, Any]:
        # Deployments of their own, whose breakers have seen nothing.
        model = _route(upstream.url, faulty=closed if trouble.closed else upstream.url, sound=upstream.url)
        outcomes = Outcomes()
        in_threads(CALLS, AT_A_TIME, lambda: _judge(model, outcomes, stream=trouble.stream))
        return outcomes.written()

    return troubled(OURS, upstream, call)


def _judge(model: BaseChatModel, outcomes: Outcomes, *, stream: bool) -> None:
    began = time.perf_counter()
    try:
        failure = None if _said(model, stream=stream) == TEXT else "incomplete"
    except Exception as error:
        failure = type(error).__name__
    outcomes.add(began, failure)


def _said(model: BaseChatModel, *, stream: bool) -> str:
    if not stream:
        return model.invoke(MESSAGES).text
    said = ""
    for piece in model.stream(MESSAGES):
        said = "" if restart_of(piece) else said + piece.text
    return said


def _route(url: str, **deployments: str) -> BaseChatModel:
    """A new route that leads to deployments of these models at these addresses, with equal weights."""
    mark = uuid.uuid4().hex[:8]
    steps = [Step(_deployment(f"{model}-{mark}", model, at)) for model, at in deployments.items()]
    services.create_route(name=f"bench-{mark}", steps=steps, actor=SYSTEM, strategy="weighted", **PATIENCE)
    return chat_model(f"route:bench-{mark}", parameters={}, context=CallContext())


def _deployment(name: str, model: str, url: str) -> Deployment:
    credential = services.create_credential(name=name, provider="openai", base_url=url, secret=KEY, actor=SYSTEM)
    return services.create_deployment(name=name, provider="openai", model=model, credential=credential, actor=SYSTEM)


def _rate(call: Callable[[], object]) -> float:
    in_threads(WARM_UP * 3, THREADS, call)
    began = time.perf_counter()
    in_threads(TOGETHER, THREADS, call)
    return TOGETHER / (time.perf_counter() - began)


async def _async_rate(call: Callable[[], Awaitable[object]]) -> float:
    async def work(many: int) -> None:
        for _ in range(many):
            await call()

    await asyncio.gather(*(work(3) for _ in range(THREADS)))
    began = time.perf_counter()
    await asyncio.gather(*(work(TOGETHER // THREADS) for _ in range(THREADS)))
    return TOGETHER // THREADS * THREADS / (time.perf_counter() - began)
