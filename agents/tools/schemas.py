"""What a model is told of a tool, looked at before an agent may use it."""

from __future__ import annotations

from functools import lru_cache
from typing import Any

import jsonschema
from django.utils.translation import gettext as _

from agents.tools import registry
from agents.tools.exceptions import InvalidTool


def check_tool(name: str) -> None:
    """Raises UnknownTool, and InvalidTool for one whose arguments no model could be told: the validator of agents'
    configurations.
    """
    problem = _problem(name, registry.get(name))
    if problem:
        raise InvalidTool(
            _("The arguments of the tool “%(name)s” cannot be described: %(why)s") % {"name": name, "why": problem}
        )


@lru_cache(maxsize=256)
def _problem(name: str, _function: Any) -> str:
    """As LangChain will tell it; empty when it can. Of each function once: it takes milliseconds."""
    # LangChain, which takes a second to import: only when an agent is saved.
    from langchain_core.utils.function_calling import convert_to_openai_tool

    from agents.tools.langchain import build_tools

    try:
        schema = convert_to_openai_tool(build_tools([name], {})[0])["function"]["parameters"]
        jsonschema.Draft202012Validator.check_schema(schema)
    except Exception as error:
        return f"{type(error).__name__}: {error}".splitlines()[0][:200]
    return "" if schema.get("type") == "object" else _("they are no object.")
