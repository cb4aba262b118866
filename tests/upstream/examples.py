"""An instance of a JSON schema, with the numbers and the quotations that a text has."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any

NUMBER = re.compile(r"-?\d+(?:\.\d+)?")
QUOTATION = re.compile(r"(?<!\w)'([^']+)'(?!\w)")
DEEPEST = 8
FORMATS = {
    "date": "2026-01-31", "date-time": "2026-01-31T12:00:00Z", "time": "12:00:00", "email": "ana@example.com",
    "uri": "https://example.com", "uuid": "00000000-0000-4000-8000-000000000000",
}  # fmt: skip


class Example:
    """`of(schema)` gives a value that fits it."""

    def __init__(self, root: Mapping[str, Any], text: str) -> None:
        self._root = root
        self._numbers = [float(each) for each in NUMBER.findall(text)]
        self._quotations = QUOTATION.findall(text)

    def of(self, schema: Any, name: str = "value", depth: int = 0) -> Any:
        """A value; `name` is what a string without other bounds says."""
        if not isinstance(schema, Mapping):
            return name
        if "$ref" in schema:
            return self.of(self._resolved(schema["$ref"]), name, depth + 1)
        if "const" in schema:
            return schema["const"]
        if "enum" in schema:
            return schema["enum"][0]
        for key in ("anyOf", "oneOf", "allOf"):
            if key in schema:
                return self.of(_first_with_content(schema[key]), name, depth + 1)
        return self._typed(schema, name, depth)

    def _typed(self, schema: Mapping[str, Any], name: str, depth: int) -> Any:
        kind = schema.get("type", "object" if "properties" in schema else "string")
        if isinstance(kind, list):
            kind = next((each for each in kind if each != "null"), "null")
        if kind == "object":
            return self._object(schema, depth)
        if kind == "array":
            count = schema.get("minItems", 1 if depth < DEEPEST else 0)
            return [self.of(schema.get("items", {}), name, depth + 1) for _ in range(count)]
        if kind in {"integer", "number"}:
            return self._number(schema, whole=kind == "integer")
        if kind == "string":
            return _string(schema, self._quotations.pop(0) if self._quotations else name)
        return {"boolean": True}.get(kind)

    def _object(self, schema: Mapping[str, Any], depth: int) -> dict[str, Any]:
        properties = schema.get("properties", {})
        wanted = properties if depth < DEEPEST else schema.get("required", ())
        return {name: self.of(properties.get(name, {}), name, depth + 1) for name in wanted}

    def _number(self, schema: Mapping[str, Any], *, whole: bool) -> float:
        found = self._numbers.pop(0) if self._numbers else 1.0
        found = max(found, schema.get("minimum", schema.get("exclusiveMinimum", found - 1) + 1))
        found = min(found, schema.get("maximum", schema.get("exclusiveMaximum", found + 1) - 1))
        return int(found) if whole else found

    def _resolved(self, reference: str) -> Any:
        found: Any = self._root
        for part in reference.removeprefix("#").strip("/").split("/"):
            found = found[part] if part else found
        return found


def _first_with_content(schemas: list[Any]) -> Any:
    return next((each for each in schemas if each.get("type") != "null"), schemas[0])


def _string(schema: Mapping[str, Any], name: str) -> str:
    text = FORMATS.get(schema.get("format", ""), name)
    text = text.ljust(schema.get("minLength", 0), "x")
    return text[: schema.get("maxLength", len(text))]
