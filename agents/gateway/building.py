"""Makes the providers' own chat models, each once for as long as nothing about it changes."""

from __future__ import annotations

import json
import os
import threading
from collections import OrderedDict
from collections.abc import Mapping
from typing import Any, Final

from django.conf import settings
from django.utils.module_loading import import_string
from django.utils.translation import gettext as _
from langchain.chat_models import init_chat_model
from langchain_core.language_models import BaseChatModel
from langchain_openai import ChatOpenAI
from pydantic import SecretStr

from agents.gateway import wire
from agents.gateway.errors import clean
from agents.gateway.exceptions import ModelRejected, ModelUnauthorized
from agents.gateway.local_chat import LocalChatModel
from agents.gateway.openai_chat import OpenAIChat
from agents.gateway.providers import LOCAL, SCRIPTED
from agents.gateway.routing import CredentialData, DeploymentData

SCRIPTED_FACTORY = "agents.testing:scripted_chat_model"
OPENAI: Final = "openai"
OPENAI_URL: Final = "https://api.openai.com/v1"
MOST_MODELS: Final = 512
# Parameters that hold further ones.
_NESTED: Final = ("extra_body", "model_kwargs")
# What a model that is built from the environment depends on.
_ENVIRONMENT: Final = ("OPENAI_API_KEY", "OPENAI_BASE_URL", "OPENAI_API_BASE", "OPENAI_ORG_ID")
# Shown while a deployment is looked at that has no secret yet; it is sent nowhere.
NO_SECRET: Final = "none"  # noqa: S105

_built: OrderedDict[Any, BaseChatModel] = OrderedDict()
_lock = threading.Lock()


def model_of(deployment: DeploymentData, parameters: str) -> BaseChatModel:
    """The deployment's chat model with these parameters (JSON) over its own. Raises GatewayError when its configuration
    is wrong.
    """
    if deployment.provider == SCRIPTED:
        return build(SCRIPTED, deployment.model, merged(deployment.parameters, parameters))
    key = (deployment, parameters, tuple(map(os.environ.get, _ENVIRONMENT)))
    found = _built.get(key)
    if found is not None:
        return found
    with _lock:
        # Of many calls that come at once, one makes it.
        if key not in _built:
            _built[key] = build(
                deployment.provider, deployment.model, merged(deployment.parameters, parameters),
                credential=deployment.credential, owner=deployment.key,
            )  # fmt: skip
            while len(_built) > MOST_MODELS:
                _built.popitem(last=False)
        return _built[key]


def merged(first: str, then: str) -> dict[str, Any]:
    """The second over the first. Only of what holds further ones the first, which is the operator's, stays as it is:
    there they say what a provider may do with what it is sent.
    """
    own, given = json.loads(first), json.loads(then)
    found = {**own, **given}
    for name in _NESTED:
        if isinstance(own.get(name), dict):
            more = given.get(name)
            found[name] = {**(more if isinstance(more, dict) else {}), **own[name]}
    return found


def build(
    provider: str,
    model: str,
    parameters: Mapping[str, Any],
    *,
    credential: CredentialData | None = None,
    owner: str = "",
) -> BaseChatModel:
    """The provider's chat model. Raises GatewayError when its configuration is wrong. `owner` names whose connections
    it uses.
    """
    if provider == LOCAL:
        return _configured(lambda: LocalChatModel(**parameters))
    if provider == SCRIPTED:
        scripted: BaseChatModel = import_string(SCRIPTED_FACTORY.replace(":", "."))(model, parameters)
        return scripted
    if provider == OPENAI:
        return _configured(lambda: _openai(model, parameters, credential, owner))
    given: dict[str, Any] = {"timeout": settings.MODEL_CALL_TIMEOUT_SECONDS, "max_retries": 0}
    if credential is not None:
        given["api_key"] = credential.secret
    return _configured(lambda: init_chat_model(model, model_provider=provider, **{**given, **parameters}))


def takes_timeout(model: BaseChatModel) -> bool:
    """Whether a call may say how long it waits."""
    return isinstance(model, ChatOpenAI | LocalChatModel)


def is_guarded(model: BaseChatModel) -> bool:
    """Whether its waits end when the guard of the calling thread says so: its connections are ours, or it has none."""
    return takes_timeout(model) or model._llm_type == SCRIPTED  # noqa: SLF001 (LangChain's hook)


def _openai(model: str, parameters: Mapping[str, Any], credential: CredentialData | None, owner: str) -> BaseChatModel:
    if credential is None:
        key = os.environ.get("OPENAI_API_KEY", "")
        if not key:
            raise ModelUnauthorized(_("OPENAI_API_KEY is not set."))
        url = os.environ.get("OPENAI_BASE_URL") or os.environ.get("OPENAI_API_BASE") or OPENAI_URL
    else:
        # Never the environment's address: the secret belongs to its own.
        key, url = credential.secret or NO_SECRET, credential.base_url or OPENAI_URL
    client = wire.client(owner, url, is_entered=bool(credential and credential.base_url))
    given = {"max_retries": 0, "stream_usage": True, **parameters}
    made = OpenAIChat(model=model, **given, base_url=url, api_key=SecretStr(key), http_client=client)
    if credential is None:
        return made
    # By its alias, or by the field's own name.
    return made.without_environment(
        organization=parameters.get("organization") or parameters.get("openai_organization")
    )


def _configured(make: Any) -> BaseChatModel:
    try:
        made: BaseChatModel = make()
    except (TypeError, ValueError) as error:
        raise ModelRejected(clean(str(error))) from None
    return made
