"""The OpenAPI document is complete, valid and the one in the repository."""

from __future__ import annotations

from io import StringIO
from pathlib import Path

import pytest
from django.core.management import call_command
from rest_framework.test import APIClient

SNAPSHOT = Path(__file__).resolve().parents[2] / "docs" / "openapi.yaml"
UPDATE = "make schema"


def test_the_document_is_valid_and_as_the_snapshot_says() -> None:
    out = StringIO()
    call_command("spectacular", "--validate", "--fail-on-warn", stdout=out)
    assert out.getvalue().strip() == SNAPSHOT.read_text().strip(), f"If that is meant: {UPDATE}"


@pytest.mark.django_db
def test_schema_and_docs_are_served_without_a_login_and_without_a_cdn() -> None:
    client = APIClient()
    schema = client.get("/api/v1/schema").json()
    assert schema["openapi"].startswith("3.1")
    stream = schema["paths"]["/api/v1/tasks/{id}/events"]["get"]["responses"]["200"]
    assert [*stream["content"]] == ["text/event-stream"]
    assert schema["paths"]["/api/v1/tasks"]["get"]["security"] == [{"bearer": []}, {"apiKey": []}]
    page = client.get("/api/v1/docs")
    assert page.status_code == 200
    assert "http://" not in page.content.decode()
    assert "https://" not in page.content.decode()
