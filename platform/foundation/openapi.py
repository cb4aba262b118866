"""What every operation of the API has in common, for the OpenAPI document (drf-spectacular)."""

from __future__ import annotations

from typing import Any

from drf_spectacular.openapi import AutoSchema as BaseAutoSchema

PROBLEM = {
    "type": "object",
    "description": "An error (RFC 9457).",
    "required": ["type", "title", "status", "detail", "request_id"],
    "properties": {
        "type": {"type": "string", "format": "uri", "examples": ["urn:mutirao:invalid"]},
        "title": {"type": "string"},
        "status": {"type": "integer"},
        "detail": {"type": "string", "description": "A sentence for a person."},
        "request_id": {"type": "string"},
        "errors": {
            "type": "object",
            "description": "By field, when the body is not valid.",
            "additionalProperties": True,
        },
    },
}
RESPONSE = {
    "description": "The request could not be carried out.",
    "content": {"application/problem+json": {"schema": {"$ref": "#/components/schemas/Problem"}}},
}
SECURITY_SCHEMES = {
    "bearer": {"type": "http", "scheme": "bearer", "description": "A JWT from `auth/token`, or an API key."},
    "apiKey": {"type": "apiKey", "in": "header", "name": "X-Api-Key", "description": "An API key."},
}
VERBS = {"get", "post", "put", "patch", "delete"}


class AutoSchema(BaseAutoSchema):
    """Says who may call: both headers wherever a view asks who is calling."""

    def get_auth(self) -> list[dict[str, list[str]]]:
        """The security requirements of one operation."""
        if not self.view.authentication_classes:
            return []
        return [{name: []} for name in SECURITY_SCHEMES]


def add_problems(result: dict[str, Any], generator: Any, request: Any, public: bool) -> dict[str, Any]:  # noqa: FBT001
    """Postprocessing hook: the problem document as every operation's default response, and the two headers."""
    components = result.setdefault("components", {})
    components.setdefault("schemas", {})["Problem"] = PROBLEM
    components.setdefault("responses", {})["Problem"] = RESPONSE
    components["securitySchemes"] = SECURITY_SCHEMES
    for operations in result["paths"].values():
        for verb, operation in operations.items():
            if verb in VERBS:
                operation["responses"]["default"] = {"$ref": "#/components/responses/Problem"}
    _settle(result)
    return result


# What drf-spectacular makes of a field of any JSON that may be null: of its two halves null fits both.
_ANY_OR_NULL = [{}, {"type": "null"}]


def _settle(node: Any) -> None:
    """Any JSON, null or not, is any JSON."""
    if isinstance(node, dict):
        if node.get("oneOf") == _ANY_OR_NULL:
            del node["oneOf"]
        for value in node.values():
            _settle(value)
    elif isinstance(node, list):
        for value in node:
            _settle(value)
