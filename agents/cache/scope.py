"""What has to be the same before one answer may serve two requests."""

from __future__ import annotations

import uuid
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from agents.cache import canonical, epochs, targets
from agents.definitions.cache_policy import CachePolicy
from agents.gateway.answers import ModelRequest


@dataclass(frozen=True, slots=True)
class Scope:
    """`exact` is the digest of the whole request, `digest` that of everything but the conversation.

    `messages` are canonical, without those of the prompt. `owner_id` is empty for answers that all users of the agent
    share. `epoch` is the digest of the knowledge that the agent draws on, empty for none.
    """

    exact: str
    digest: str
    owner_id: uuid.UUID | None
    epoch: str
    messages: Sequence[Mapping[str, Any]]


def scope_of(request: ModelRequest, policy: CachePolicy, messages: Sequence[Mapping[str, Any]]) -> Scope:
    """Of a request and its canonical messages. Raises NotCanonical for what is not JSON."""
    context, owner = request.context, None if policy.shareable else request.context.owner_id
    epoch = canonical.digest(epochs.numbers_of(policy.knowledge)) if policy.knowledge else ""
    prompt = [(place, said) for place, said in enumerate(messages) if canonical.is_system(said)]
    digest = canonical.digest({
        "form": canonical.FORM,
        # The agent is part of it in any case; for answers that are shared nobody is.
        "owner": str(owner or ""),
        "agent": str(context.agent_id or ""),
        "version": str(context.agent_version_id or ""),
        "target": request.target,
        "models": targets.models_of(request.target),
        "parameters": canonical.options_of(request.parameters),
        "options": canonical.options_of(request.options),
        "prompt": prompt,
        "epoch": epoch,
    })  # fmt: skip
    exact = canonical.digest({"scope": digest, "messages": messages})
    return Scope(exact, digest, owner, epoch, [said for said in messages if not canonical.is_system(said)])
