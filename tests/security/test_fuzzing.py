"""The whole API against its own description: whatever is sent, no 5xx, nothing that the schema does not say, and no
answer without a credential where one is needed.
"""

from __future__ import annotations

import os
from collections.abc import Iterator, Mapping
from typing import Any

import pytest
import schemathesis
from hypothesis import HealthCheck, Phase, given, settings
from hypothesis import strategies as st
from schemathesis import GenerationMode
from schemathesis.checks import not_a_server_error
from schemathesis.core.result import Ok
from schemathesis.specs.openapi.checks import (
    content_type_conformance,
    ignored_auth,
    response_headers_conformance,
    response_schema_conformance,
    status_code_conformance,
)

from accounts.audit import SYSTEM
from accounts.issuing import issue_api_key
from accounts.models import User
from agents.definitions.services import create_agent
from agents.memory.services import post_message, start_conversation
from agents.schedules.services import create_schedule
from agents.tasks import queues
from tests.api.conftest import server  # noqa: F401 (a fixture)

pytestmark = [pytest.mark.once, pytest.mark.timeout(900)]

# The rest of the time fewer: it is the processor's time that CI has little of.
EXAMPLES = 50 if os.environ.get("MUTIRAO_FULL_SIZE") else 15
CHECKS: list[Any] = [
    not_a_server_error, status_code_conformance, content_type_conformance, response_headers_conformance,
    response_schema_conformance, ignored_auth,
]  # fmt: skip
# It answers for as long as somebody listens.
ENDLESS = r"/events$"

Known = Mapping[str, Mapping[str, str]]


def _things(owner: User) -> Known:
    """By the first word of an address: path parameters that lead to something."""
    agent = create_agent(slug="echo", model="scripted:echo")
    conversation = start_conversation(owner=owner, agent=agent)
    posted = post_message(conversation=conversation, text="hello", owner=owner)
    schedule = create_schedule(owner=owner, actor=SYSTEM, name="Nightly", agent="echo", input="x", cron="0 3 * * *")
    key = issue_api_key(owner=owner, name="another", actor=SYSTEM).row
    ids = {
        "tasks": posted.task.pk, "conversations": conversation.pk, "schedules": schedule.pk, "api-keys": key.pk,
        "users": owner.pk,
    }  # fmt: skip
    found = {name: {"id": str(pk), "message": str(posted.message.pk)} for name, pk in ids.items()}
    # A queue of its own: what full and paused ones refuse (503) is right, and would hide what is wrong.
    queues.change(name="fuzzed", actor=SYSTEM)
    return found | {"agents": {"slug": "echo"}, "queues": {"name": "fuzzed"}}


def _operations(address: str) -> Iterator[Any]:
    schema = schemathesis.openapi.from_url(f"{address}/api/v1/schema").exclude(path_regex=ENDLESS)
    yield from (result.ok() for result in schema.get_all_operations() if isinstance(result, Ok))


def _attack(operation: Any, key: str, known: Known) -> None:
    """EXAMPLES requests, valid and not; half of those that name a thing name one that is there."""
    modes = (GenerationMode.POSITIVE, GenerationMode.NEGATIVE)
    cases = st.one_of([operation.as_strategy(generation_mode=mode) for mode in modes])
    leads_to = known.get(operation.path.removeprefix("/api/v1/").split("/")[0], {})

    @settings(
        max_examples=EXAMPLES, deadline=None, database=None, derandomize=True, phases=[Phase.generate],
        suppress_health_check=list(HealthCheck),
    )  # fmt: skip
    @given(case=cases, is_there=st.booleans())
    def attack(case: Any, is_there: bool) -> None:  # noqa: FBT001
        if is_there and case.path_parameters:
            case.path_parameters |= {name: leads_to[name] for name in case.path_parameters if name in leads_to}
        answer = case.call(headers={"Authorization": f"Bearer {key}"}, timeout=30)
        answered.append(answer.status_code)
        case.validate_response(answer, checks=CHECKS)

    answered: list[int] = []
    attack()
    assert len(answered) >= EXAMPLES // 2


@pytest.mark.django_db(transaction=True)
def test_whatever_is_sent_the_api_answers_as_it_says(server: str, admin: User, settings: Any) -> None:  # noqa: F811
    settings.RATE_ADDRESS = settings.RATE_SIGN_IN = settings.RATE_USER = ""
    known = _things(admin)
    key = issue_api_key(owner=admin, name="fuzzing", actor=SYSTEM).key
    failures: list[str] = []
    operations = [*_operations(server)]
    for operation in operations:
        try:
            _attack(operation, key, known)
        except BaseExceptionGroup as error:  # of every operation we want to know, not of the first
            failures.append("\n".join([operation.label, *(str(each) for each in error.exceptions)]))
    assert len(operations) >= 50
    assert failures == []
