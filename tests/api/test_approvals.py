"""Approvals, tool calls and reviews over HTTP."""

from __future__ import annotations

from typing import Any

import pytest

from accounts.models import User
from agents.tasks import attempts
from agents.tasks.data import Failure
from agents.tasks.models import Task, WaitingFor
from agents.tools.approvals import wait_for_approvals
from agents.tools.models import Approval, ToolCall
from tests.api.conftest import Submit, approval_of
from tests.conftest import Api

pytestmark = pytest.mark.django_db
APPROVALS = "/api/v1/approvals"


@pytest.fixture
def waiting(member: User, submitted: Submit) -> Approval:
    """The word that a task of the member's waits for."""
    task = submitted(member)
    claim = attempts.claim(queues=["interactive"], worker="test")
    assert claim is not None
    found = approval_of(task)
    assert wait_for_approvals(claim=claim, data={}) == "waiting"
    return found


def test_an_approver_sees_what_will_be_done_and_says_yes(api: Api, operator: User, waiting: Approval) -> None:
    client = api(operator)
    (shown,) = client.get(f"{APPROVALS}?open=true").json()["results"]
    assert (shown["tool"], shown["arguments"], shown["agent"], shown["is_open"]) == (
        "pay", {"to": "Ana", "amount": 5}, "echo", True,
    )  # fmt: skip
    answer = client.post(f"{APPROVALS}/{shown['id']}/decide", {"decision": "approve"}, format="json")
    assert (answer.status_code, answer.json()["state"]) == (200, "approved")
    assert answer.json()["decided_by"] == str(operator.pk)
    assert Task.objects.get(pk=waiting.task_id).status == "queued"
    assert client.get(f"{APPROVALS}?open=true").json()["results"] == []
    again = client.post(f"{APPROVALS}/{shown['id']}/decide", {"decision": "refuse"}, format="json")
    assert (again.status_code, again.json()["type"].rsplit("/")[-1].rsplit(":")[-1]) == (409, "already-decided")


def test_arguments_may_be_changed_to_what_the_tool_takes(api: Api, operator: User, waiting: Approval) -> None:
    client, address = api(operator), f"{APPROVALS}/{waiting.pk}/decide"
    refused = client.post(address, {"decision": "edit", "arguments": {"amount": "much"}}, format="json")
    assert (refused.status_code, refused.json()["type"].rsplit("/")[-1].rsplit(":")[-1]) == (400, "invalid-arguments")
    assert client.post(address, {"decision": "edit"}, format="json").status_code == 400
    done = client.post(address, {"decision": "edit", "arguments": {"to": "Bo", "amount": 1}}, format="json").json()
    assert (done["state"], done["edited_arguments"]) == ("edited", {"to": "Bo", "amount": 1})


def test_an_owner_sees_and_may_not_decide(api: Api, member: User, outsider: User, waiting: Approval) -> None:
    assert [each["id"] for each in api(member).get(APPROVALS).json()["results"]] == [str(waiting.pk)]
    refused = api(member).post(f"{APPROVALS}/{waiting.pk}/decide", {"decision": "approve"}, format="json")
    assert refused.status_code == 403
    assert api(outsider).get(APPROVALS).json()["results"] == []


def test_a_list_takes_as_many_queries_however_long_it_is(
    api: Api, operator: User, member: User, submitted: Submit, django_assert_max_num_queries: Any
) -> None:
    for _ in range(5):
        approval_of(submitted(member))
    client = api(operator)
    with django_assert_max_num_queries(5):
        assert len(client.get(f"{APPROVALS}?open=true").json()["results"]) == 5


def test_a_task_that_waits_for_input_says_what_it_asks(api: Api, member: User, submitted: Submit) -> None:
    address = f"/api/v1/tasks/{submitted(member).pk}"
    assert "questions" not in api(member).get(address).json()
    claim = attempts.claim(queues=["interactive"], worker="test")
    assert claim is not None
    asked = [{"id": "1" * 32, "value": "Which of them?"}, {"id": "2" * 32, "value": {"of": ["a", "b"]}}]
    attempts.wait(claim=claim, waiting_for=WaitingFor.INPUT, seconds=60, data={"questions": asked})
    shown = api(member).get(address).json()
    assert (shown["status"], shown["waiting_for"], shown["questions"]) == ("waiting", "input", asked)
    answered = api(member).post(f"{address}/resume", {"value": {"1" * 32: "b", "2" * 32: "a"}}, format="json")
    assert (answered.status_code, answered.json()["status"]) == (202, "queued")
    assert "questions" not in api(member).get(address).json()


class TestAReview:
    @pytest.fixture
    def call(self, member: User, submitted: Submit) -> ToolCall:
        """A call that was begun and not seen to end."""
        task = submitted(member)
        claim = attempts.claim(queues=["interactive"], worker="test")
        assert claim is not None
        attempts.review(claim=claim, failure=Failure("ToolCallUnfinished", "Who knows."))
        return ToolCall.objects.create(
            task=task, key="k", name="pay", effects="once", state="needs_review", fence=1, times=1
        )

    def review(self, api: Api, user: User, call: ToolCall, **said: Any) -> Any:
        return api(user).post(f"/api/v1/tasks/{call.task_id}/review", said, format="json")

    def test_says_that_it_was_done(self, api: Api, member: User, call: ToolCall) -> None:
        answer = self.review(api, member, call, decision="done", tool_call=str(call.pk), result="paid")
        assert (answer.status_code, answer.json()["status"]) == (200, "queued")
        (shown,) = api(member).get(f"/api/v1/tasks/{call.task_id}/tool-calls").json()["results"]
        assert (shown["state"], shown["result"]) == ("succeeded", "paid")

    def test_says_that_it_was_not(self, api: Api, member: User, call: ToolCall) -> None:
        assert self.review(api, member, call, decision="retry", tool_call=str(call.pk)).status_code == 200
        call.refresh_from_db()
        assert call.state == "ready"

    @pytest.mark.parametrize(
        ("said", "status"),
        [
            ({"decision": "retry"}, 400),
            ({"decision": "continue", "tool_call": "018f0000-0000-7000-8000-000000000000"}, 400),
            ({"decision": "retry", "tool_call": "018f0000-0000-7000-8000-000000000000"}, 400),
            ({"decision": "perhaps"}, 400),
            ({"decision": "continue"}, 409),
            ({"decision": "fail", "reason": "It was never meant to be."}, 200),
        ],
    )
    def test_makes_sense_or_is_refused(
        self, api: Api, member: User, call: ToolCall, said: dict[str, Any], status: int
    ) -> None:
        assert self.review(api, member, call, **said).status_code == status

    def test_is_for_those_who_may_operate_the_task(
        self, api: Api, outsider: User, operator: User, call: ToolCall
    ) -> None:
        said = {"decision": "retry", "tool_call": str(call.pk)}
        assert self.review(api, outsider, call, **said).status_code == 404
        assert self.review(api, operator, call, **said).status_code == 200
