"""Test agents without a provider, a broker or a worker.

    from agents.testing import ScriptedChatModel, call, run_agent_inline

    @pytest.mark.django_db(transaction=True)
    def test_it_looks_up_the_country() -> None:
        model = ScriptedChatModel(replies=[call("shipping_days", country="Brazil"), "Three days."])
        run = run_agent_inline(Parcels, "How long to Brazil?", model=model)
        assert run.text == "Three days."
        assert run.tool_results == [("shipping_days", "3")]
        assert model.requests[0].said == "How long to Brazil?"

Where settings.ALLOW_SCRIPTED_MODELS is on, `scripted:echo`, `scripted:tools`, `scripted:slow` and
`scripted:fail` are models by name, for agents that run in a worker; see `scripted_chat_model`.

This module imports LangChain: import it in tests, never in an app's models or AppConfig.
"""

from agents.testing.inline import InlineRun, run_agent_inline
from agents.testing.model import Reply, Request, ScriptedChatModel, call
from agents.testing.scripts import named_model, scripted_chat_model

__all__ = [
    "InlineRun",
    "Reply",
    "Request",
    "ScriptedChatModel",
    "call",
    "named_model",
    "run_agent_inline",
    "scripted_chat_model",
]
