"""Whether a deployment answers: one short call, told as it went. Imports LangChain."""

from __future__ import annotations

import threading
import time
from concurrent.futures import Future
from concurrent.futures import TimeoutError as FutureTimeoutError
from typing import TYPE_CHECKING, Any, Final

from django.db import transaction
from langchain_core.messages import AIMessage, HumanMessage

from accounts import audit
from accounts.audit import Actor
from agents.gateway.building import NO_SECRET, OPENAI, build, model_of, takes_timeout
from agents.gateway.data import CallContext
from agents.gateway.errors import translated
from agents.gateway.exceptions import GatewayError, ModelTimeout
from agents.gateway.models import Deployment
from agents.gateway.recording import Recording
from agents.gateway.results import TryResult
from agents.gateway.routing import CredentialData, deployment_data
from foundation.threads import close_connections

if TYPE_CHECKING:
    from langchain_core.language_models import BaseChatModel

WITHIN_SECONDS: Final = 10.0
QUESTION: Final = "Say OK."
# Some models think before they speak, and refuse to be cut off at one token.
MOST_TOKENS: Final = 16
# Whose clients take `max_tokens` in a call.
CAPPED: Final = frozenset({"openai", "anthropic", "mistralai", "groq", "deepseek", "xai", "openrouter", "together"})


def try_on(row: Deployment) -> BaseChatModel:
    """The client that the deployment would have, without its secret; calls nothing. Raises GatewayError when its
    configuration is wrong.
    """
    shown = None
    if row.credential is not None or row.provider == OPENAI:
        address = row.credential.base_url if row.credential is not None else ""
        shown = CredentialData(row.credential_id or row.pk, address, NO_SECRET)
    return build(row.provider, row.model, row.parameters, credential=shown, owner="trying-on")


def try_deployment(deployment: Deployment, actor: Actor) -> TryResult:
    """Asks for a word and waits 10 seconds at most. It passes by routes, circuit breakers, caps and the cache, so that
    it tells of the deployment alone; the ledger has it, and the audit log.
    """
    recording = Recording(
        f"{deployment.provider}:{deployment.model}", CallContext(owner_id=actor.user_id), len(QUESTION)
    )
    began = time.perf_counter()
    error: Exception | None = None
    text = ""
    # A call must not hold a connection while it waits.
    close_connections()
    try:
        message = _asked(model_of(deployment_data(deployment), "{}"), deployment.provider)
        recording.see(message)
        text = str(message.text)[:200]
    except Exception as failure:
        error = translated(failure)
    took = (time.perf_counter() - began) * 1000
    outcome = "succeeded" if error is None else "failed"
    answered = recording.tried(
        deployment.pk, deployment.name, deployment.provider, deployment.model, outcome, _name(error), took
    )
    recording.finish(error)
    with transaction.atomic():
        audit.record(verb="deployment.try", actor=actor, subject=deployment, changes={"outcome": outcome})
    return TryResult(
        is_ok=error is None, latency_ms=round(took, 1), text=text, input_tokens=answered.input_tokens,
        output_tokens=answered.output_tokens, cost=answered.cost, error_type=_name(error), error=_sentence(error),
    )  # fmt: skip


def _asked(client: BaseChatModel, provider: str) -> AIMessage:
    """In a thread, as not every client can be told how long to wait. Raises ModelTimeout."""
    future: Future[AIMessage] = Future()

    def ask() -> None:
        try:
            future.set_result(_call(client, provider))
        except Exception as error:
            future.set_exception(error)
        finally:
            close_connections()

    threading.Thread(target=ask, name="try", daemon=True).start()
    try:
        return future.result(timeout=WITHIN_SECONDS)
    except FutureTimeoutError:
        raise ModelTimeout from None


def _call(client: BaseChatModel, provider: str) -> AIMessage:
    options: dict[str, Any] = {"timeout": WITHIN_SECONDS} if takes_timeout(client) else {}
    if provider in CAPPED:
        options["max_tokens"] = MOST_TOKENS
    return client.invoke([HumanMessage(QUESTION)], **options)


def _name(error: Exception | None) -> str:
    return type(error).__name__ if error else ""


def _sentence(error: Exception | None) -> str:
    """The gateway's own words; those of others could hold anything."""
    if error is None:
        return ""
    return str(error) if isinstance(error, GatewayError) else type(error).__name__
