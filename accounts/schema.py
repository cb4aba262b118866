"""How the OpenAPI document speaks of credentials."""

from __future__ import annotations

from typing import Any

from drf_spectacular.extensions import OpenApiAuthenticationExtension


class BearerScheme(OpenApiAuthenticationExtension):  # type: ignore[no-untyped-call]
    """Both headers of BearerAuthentication."""

    target_class = "accounts.authentication.BearerAuthentication"
    name = ["bearer", "apiKey"]

    def get_security_definition(self, auto_schema: Any) -> list[dict[str, str]]:
        """One definition per name."""
        return [
            {"type": "http", "scheme": "bearer", "description": "A JWT or an API key."},
            {"type": "apiKey", "in": "header", "name": "X-Api-Key"},
        ]
