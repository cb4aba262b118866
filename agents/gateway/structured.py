"""Answers in a given form, from whatever provider."""

from __future__ import annotations

from operator import itemgetter
from typing import TYPE_CHECKING, Any

from langchain_core.language_models import LanguageModelInput
from langchain_core.output_parsers import JsonOutputParser, PydanticOutputParser
from langchain_core.output_parsers.openai_tools import JsonOutputKeyToolsParser, PydanticToolsParser
from langchain_core.runnables import Runnable, RunnableMap, RunnablePassthrough
from langchain_core.utils.function_calling import convert_to_json_schema, convert_to_openai_tool
from langchain_core.utils.pydantic import is_basemodel_subclass
from pydantic import BaseModel

if TYPE_CHECKING:
    from agents.gateway.chat import GatewayChatModel

FUNCTION = "function_calling"
SCHEMA = "json_schema"
JSON = "json_mode"

Formed = Runnable[LanguageModelInput, dict[str, Any] | BaseModel]


def formed(
    model: GatewayChatModel, schema: Any, *, method: str, include_raw: bool, strict: bool | None, **kwargs: Any
) -> Formed:
    """See GatewayChatModel.with_structured_output. Raises ValueError for another method or unknown arguments."""
    if kwargs or method not in (FUNCTION, SCHEMA, JSON):
        raise ValueError(f"Unknown arguments: { ({'method': method} | kwargs) }.")
    asked = _asked(model, schema, method, strict=strict)
    parser = _tool_parser(schema) if method == FUNCTION else _text_parser(schema)
    if not include_raw:
        plain: Formed = asked | parser
        return plain
    parsed = RunnablePassthrough.assign(parsed=itemgetter("raw") | parser, parsing_error=lambda _: None)
    unparsed = RunnablePassthrough.assign(parsed=lambda _: None)
    return RunnableMap(raw=asked) | parsed.with_fallbacks([unparsed], exception_key="parsing_error")


def _asked(model: GatewayChatModel, schema: Any, method: str, *, strict: bool | None) -> Runnable[Any, Any]:
    told = {"ls_structured_output_format": {"kwargs": {"method": method, "strict": strict}, "schema": schema}}
    if method == FUNCTION:
        return model.bind_tools([schema], tool_choice="any", strict=strict, **told)
    if method == JSON:
        return model.bind(response_format={"type": "json_object"}, **told)
    plain = convert_to_json_schema(schema, strict=strict)
    name = str(plain.get("title") or "answer")
    form = {"name": name, "schema": plain} | ({} if strict is None else {"strict": strict})
    return model.bind(response_format={"type": "json_schema", "json_schema": form}, **told)


def _is_model(schema: Any) -> bool:
    return isinstance(schema, type) and is_basemodel_subclass(schema)


def _tool_parser(schema: Any) -> Any:
    if _is_model(schema):
        return PydanticToolsParser(tools=[schema], first_tool_only=True)
    return JsonOutputKeyToolsParser(key_name=convert_to_openai_tool(schema)["function"]["name"], first_tool_only=True)


def _text_parser(schema: Any) -> Any:
    return PydanticOutputParser(pydantic_object=schema) if _is_model(schema) else JsonOutputParser()
