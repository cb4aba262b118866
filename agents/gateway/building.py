"""Makes the providers' own chat models."""

from __future__ import annotations

import os
from collections.abc import Mapping
from typing import Any

from django.conf import settings
from django.utils.module_loading import import_string
from django.utils.translation import gettext as _
from langchain.chat_models import init_chat_model
from langchain_core.language_models import BaseChatModel
from langchain_openai import ChatOpenAI

from agents.gateway.errors import clean
from agents.gateway.exceptions import ModelRejected, ModelUnauthorized
from agents.gateway.local_chat import LocalChatModel
from agents.gateway.providers import LOCAL, SCRIPTED

SCRIPTED_FACTORY = "agents.testing:scripted_chat_model"


def build(provider: str, model: str, parameters: Mapping[str, Any]) -> BaseChatModel:
    """The provider's chat model. Raises GatewayError when its configuration is wrong."""
    if provider == LOCAL:
        return _configured(lambda: LocalChatModel(**parameters))
    if provider == SCRIPTED:
        scripted: BaseChatModel = import_string(SCRIPTED_FACTORY.replace(":", "."))(model, parameters)
        return scripted
    if provider == "openai":
        return _configured(lambda: _openai(model, parameters))
    timeout = {"timeout": settings.MODEL_CALL_TIMEOUT_SECONDS, "max_retries": 0}
    return _configured(lambda: init_chat_model(model, model_provider=provider, **{**timeout, **parameters}))


def takes_timeout(model: BaseChatModel) -> bool:
    """Whether a call may say how long it waits."""
    return isinstance(model, ChatOpenAI | LocalChatModel)


def _openai(model: str, parameters: Mapping[str, Any]) -> BaseChatModel:
    if not os.environ.get("OPENAI_API_KEY"):
        raise ModelUnauthorized(_("OPENAI_API_KEY is not set."))
    return ChatOpenAI(model=model, **{"max_retries": 0, "stream_usage": True, **parameters})


def _configured(make: Any) -> BaseChatModel:
    try:
        made: BaseChatModel = make()
    except (TypeError, ValueError) as error:
        raise ModelRejected(clean(str(error))) from None
    return made
