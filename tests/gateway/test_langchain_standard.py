"""LangChain's own tests of chat models, through the gateway, against the scripted upstream."""

from __future__ import annotations

from typing import Any

import httpx
import pytest
from langchain_core.language_models import BaseChatModel
from langchain_tests.integration_tests import ChatModelIntegrationTests
from langchain_tests.unit_tests import ChatModelUnitTests

from agents.gateway.chat import GatewayChatModel


class _Gateway:
    """The model under test."""

    @property
    def chat_model_class(self) -> type[BaseChatModel]:
        return GatewayChatModel

    @property
    def chat_model_params(self) -> dict[str, Any]:
        return {"target": "openai:m"}


@pytest.mark.django_db
@pytest.mark.usefixtures("upstream")
class TestUnit(_Gateway, ChatModelUnitTests):
    """Nothing is asked of a provider.

    Skipped by LangChain itself: `test_serdes`, as a model is not stored as LangChain's JSON here.
    """

    @property
    def init_from_env_params(self) -> tuple[dict[str, str], dict[str, Any], dict[str, Any]]:
        return {"OPENAI_API_KEY": "sk-test"}, {"target": "openai:m"}, {"target": "openai:m"}


@pytest.mark.django_db(transaction=True)
@pytest.mark.filterwarnings("ignore:OpenAI may require a filename")
@pytest.mark.usefixtures("upstream")
class TestIntegration(_Gateway, ChatModelIntegrationTests):
    """Calls, streams, tools, structured output.

    Skipped by LangChain itself: `test_stream_time`, which compares with recorded answers of a real provider.
    """

    @pytest.fixture(autouse=True)
    def _files(self, monkeypatch: pytest.MonkeyPatch) -> None:
        """The tests fetch pictures and documents from the network; what is in them does not matter here."""
        monkeypatch.setenv("LANGCHAIN_TESTS_USER_AGENT", "none")
        monkeypatch.setattr(httpx, "get", lambda *_args, **_options: httpx.Response(200, content=b"a file"))

    @property
    def supports_json_mode(self) -> bool:
        return True

    @property
    def supports_image_inputs(self) -> bool:
        return True

    @property
    def supports_image_urls(self) -> bool:
        return True

    @property
    def supports_pdf_inputs(self) -> bool:
        return True

    @property
    def supports_audio_inputs(self) -> bool:
        return True

    @property
    def supports_image_tool_message(self) -> bool:
        return True

    @property
    def supports_pdf_tool_message(self) -> bool:
        return True

    @property
    def supports_anthropic_inputs(self) -> bool:
        return True

    @property
    def model_override_value(self) -> str:
        return "another-model"
