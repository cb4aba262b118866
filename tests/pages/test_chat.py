# ruff: noqa: F811 (fixtures are imported)
"""The chat's pages as a browser without scripts gets them."""

from __future__ import annotations

import re
import uuid
from collections.abc import Iterator
from typing import Any

import httpx
import pytest
from django.conf import settings
from django.test import Client
from django.utils import timezone

from accounts.audit import SYSTEM
from accounts.models import User
from agents.definitions.models import Agent
from agents.memory.models import Conversation, Message
from agents.memory.services import post_message, start_conversation
from agents.tasks import attempts
from agents.tasks.data import NOTHING, Failure, NewEvent
from agents.tasks.models import Status, Task
from agents.tasks.services import cancel
from tests.api.conftest import agent, run_next, server  # noqa: F401 (fixtures)

pytestmark = pytest.mark.django_db

HTMX = {"HX-Request": "true"}
MOST_QUERIES = 30
MOST_BYTES = 150_000


@pytest.fixture
def conversation(agent: Agent, member: User) -> Conversation:
    return start_conversation(owner=member, agent=agent, title="Parcels")


@pytest.fixture
def browser(client: Client, member: User) -> Client:
    """`member`, signed in."""
    client.force_login(member)
    return client


def _html(response: Any) -> str:
    assert response.status_code == 200, response.content
    return str(response.content.decode())


def _say(conversation: Conversation, text: str, reply: str | None = None) -> Message:
    message = post_message(conversation=conversation, text=text, owner=conversation.owner).message
    if reply is not None:
        run_next({"text": reply})
    return message


def test_a_first_message_begins_a_conversation(browser: Client, agent: Agent, member: User) -> None:
    page = _html(browser.get("/chat/?agent=echo"))
    assert re.search(r'value="echo" checked', page)
    key = re.search(r'name="key" value="([^"]+)"', page)
    assert key is not None
    form = {"agent": "echo", "text": "Where is\r\nmy parcel?", "key": key[1]}
    first = browser.post("/chat/", form)
    again = browser.post("/chat/", form)
    conversation = Conversation.objects.get()
    assert first.status_code == 302
    assert first["Location"] == again["Location"] == f"/chat/{conversation.pk}/"
    assert (conversation.owner, conversation.title) == (member, "Where is")
    assert Message.objects.get().content == "Where is\nmy parcel?"


def test_a_first_message_that_is_refused_begins_nothing(browser: Client, agent: Agent) -> None:
    for form in ({"agent": "echo", "text": " "}, {"agent": "nobody", "text": "Hello"}):
        assert browser.post("/chat/", form, follow=True).status_code == 200
    assert (Conversation.objects.count(), Task.objects.count()) == (0, 0)


def test_whoever_may_use_no_agent_is_told_so(client: Client, outsider: User, agent: Agent) -> None:
    client.force_login(outsider)
    page = _html(client.get("/chat/"))
    assert "There is no agent for you yet" in page
    assert "<textarea" not in page


def test_an_agent_that_may_not_be_used_any_more_takes_no_message(
    browser: Client, conversation: Conversation, member: User
) -> None:
    _say(conversation, "Hello", "Good day")
    member.groups.clear()
    page = _html(browser.get(f"/chat/{conversation.pk}/"))
    assert "You may not use this agent any more" in page
    assert "Good day" in page
    assert "<textarea" not in page
    assert browser.post(f"/chat/{conversation.pk}/say/", {"text": "Still there?"}).status_code == 302
    assert Task.objects.count() == 1


def test_without_scripts_a_message_is_shown_and_the_page_refreshes(browser: Client, conversation: Conversation) -> None:
    said = browser.post(f"/chat/{conversation.pk}/say/", {"text": "Hello"})
    assert said.status_code == 302
    address = f"/chat/{conversation.pk}/"
    assert said["Location"].startswith(f"{address}#turn-")
    waiting = _html(browser.get(address))
    assert "Waiting for a worker…" in waiting
    assert '<noscript><meta http-equiv="refresh"' in waiting
    run_next({"text": "**Good** day"})
    answered = _html(browser.get(address))
    assert "<strong>Good</strong> day" in answered
    assert "http-equiv" not in answered


def test_htmx_gets_the_exchange_and_a_new_key(browser: Client, conversation: Conversation) -> None:
    form = {"text": "Hello", "key": "chat-1"}
    part = _html(browser.post(f"/chat/{conversation.pk}/say/", form, headers=HTMX))
    task = Task.objects.get()
    assert "<html" not in part
    assert f'data-events="/chat/tasks/{task.pk}/events"' in part
    assert re.search(r'name="key" id="key" value="chat-[0-9a-f-]{36}" hx-swap-oob="true"', part)
    _html(browser.post(f"/chat/{conversation.pk}/say/", form, headers=HTMX))
    assert Task.objects.count() == 1
    _html(browser.post(f"/chat/{conversation.pk}/say/", {**form, "text": "From an old form"}, headers=HTMX))
    assert Task.objects.count() == 2


def test_a_refusal_is_said_where_one_writes(browser: Client, conversation: Conversation) -> None:
    refused = browser.post(f"/chat/{conversation.pk}/say/", {"text": " "}, headers=HTMX)
    assert refused.status_code == 409
    assert refused["HX-Retarget"] == "#notice"
    assert "The message is empty." in refused.content.decode()


def test_a_failed_answer_gives_its_reason_and_another_try(browser: Client, conversation: Conversation) -> None:
    message = _say(conversation, "Hello")
    claim = attempts.claim(queues=["interactive"], worker="test")
    assert claim is not None
    attempts.fail(claim=claim, failure=Failure("ModelAway", "<i>It</i> was away.", retryable=False), usage=NOTHING)
    page = _html(browser.get(f"/chat/{conversation.pk}/"))
    assert "ModelAway: &lt;i&gt;It&lt;/i&gt; was away." in page
    assert "Try again" in page
    again = _html(browser.post(f"/chat/messages/{message.pk}/again/", headers=HTMX))
    assert Task.objects.order_by("-created_at")[0].retry_of_id == claim.task_id
    assert "chat-pending" in again
    busy = browser.post(f"/chat/messages/{message.pk}/again/", headers=HTMX)
    assert (busy.status_code, Task.objects.count()) == (409, 2)


def test_tool_calls_are_folded_and_only_text(browser: Client, conversation: Conversation) -> None:
    _say(conversation, "What is it?")
    claim = attempts.claim(queues=["interactive"], worker="test")
    assert claim is not None
    events: list[tuple[str, dict[str, Any]]] = [
        ("tool_call", {"id": "1", "name": "look<b>", "args": {"at": "<script>alert(1)</script>"}}),
        ("tool_result", {"id": "1", "name": "look<b>", "content": "<img src=x onerror=alert(1)>", "error": True}),
    ]
    attempts.append_events(claim, [NewEvent(kind, data, timezone.now()) for kind, data in events])
    attempts.succeed(claim=claim, result={"text": "That."}, usage=NOTHING)
    page = _html(browser.get(f"/chat/{conversation.pk}/"))
    assert page.count('<details class="chat-tool') == 2  # the call, and the template for those to come
    assert '<details class="chat-tool chat-tool-bad">' in page
    assert "<script>alert" not in page
    assert "<img src=x" not in page
    assert "look&lt;b&gt;" in page


def test_an_answer_is_stopped_once_and_keeps_what_was_said(browser: Client, conversation: Conversation) -> None:
    _say(conversation, "Hello")
    claim = attempts.claim(queues=["interactive"], worker="test")
    assert claim is not None
    stop = f"/chat/tasks/{claim.task_id}/stop/"
    assert browser.post(stop, headers=HTMX).status_code == 204
    attempts.append_events(claim, [NewEvent("message", {"text": "Good d"}, timezone.now())])
    attempts.finish_cancelled(claim=claim)
    assert browser.post(stop)["Location"] == f"/chat/{conversation.pk}/"
    page = _html(browser.get(f"/chat/{conversation.pk}/"))
    assert "Good d" in page
    assert "stopped" in page
    assert Task.objects.get().status == Status.CANCELLED


def test_an_edit_leads_back_to_the_shortened_conversation(browser: Client, conversation: Conversation) -> None:
    message = _say(conversation, "One", "First")
    _say(conversation, "Two", "Second")
    assert "One</textarea>" in _html(browser.get(f"/chat/messages/{message.pk}/edit/"))
    done = browser.post(f"/chat/messages/{message.pk}/edit/", {"text": "Uno"}, headers=HTMX)
    assert done["HX-Redirect"] == f"/chat/{conversation.pk}/"
    assert [said.content for said in Message.objects.all()] == ["Uno"]
    refused = browser.post(f"/chat/messages/{message.pk}/edit/", {"text": "Un"}, follow=True)
    assert "An answer is still being written" in _html(refused)


def test_a_conversation_is_renamed_and_deleted(browser: Client, conversation: Conversation) -> None:
    address = f"/chat/{conversation.pk}"
    assert 'value="Parcels"' in _html(browser.get(f"{address}/title/", headers=HTMX))
    assert browser.post(f"{address}/title/", {"title": "<b>Letters</b>"})["Location"] == f"{address}/"
    assert "<h1>&lt;b&gt;Letters&lt;/b&gt;</h1>" in _html(browser.get(f"{address}/"))
    assert "A title has 1 to 200 characters." in _html(browser.post(f"{address}/title/", {"title": " "}, follow=True))
    assert "will be gone for good" in _html(browser.get(f"{address}/delete/"))
    assert Conversation.objects.count() == 1
    assert "has been deleted" in _html(browser.post(f"{address}/delete/", follow=True))
    assert browser.get(f"{address}/").status_code == 404


def test_conversations_are_searched_and_paged(browser: Client, agent: Agent, member: User) -> None:
    for number in range(32):
        start_conversation(owner=member, agent=agent, title=f"Talk {number:02}")
    _say(Conversation.objects.get(title="Talk 05"), "about a zebra")
    first = _html(browser.get("/chat/conversations/", headers=HTMX))
    assert first.count("Talk ") == 30
    rest = re.search(r'hx-get="([^"]+)"', first)
    assert rest is not None
    second = _html(browser.get(rest[1].replace("&amp;", "&"), headers=HTMX))
    assert re.findall(r"Talk \d+", second) == ["Talk 01", "Talk 00"]
    found = _html(browser.get("/chat/conversations/?q=ZEBRA", headers=HTMX))
    assert re.findall(r"Talk \d+", found) == ["Talk 05"]
    assert "Nothing has “okapi”" in _html(browser.get("/chat/conversations/?q=okapi"))


def test_what_is_anothers_is_not_there(client: Client, admin: User, conversation: Conversation) -> None:
    message = _say(conversation, "Hello")
    task = message.task_id
    client.force_login(admin)
    for path in (
        f"{conversation.pk}/", f"{conversation.pk}/title/", f"{conversation.pk}/delete/",
        f"messages/{message.pk}/", f"messages/{message.pk}/edit/", f"messages/{message.pk}/whole/",
    ):  # fmt: skip
        assert client.get(f"/chat/{path}").status_code == 404, path
    for path in (
        f"{conversation.pk}/say/", f"{conversation.pk}/title/", f"{conversation.pk}/delete/",
        f"messages/{message.pk}/edit/", f"messages/{message.pk}/again/", f"messages/{message.pk}/wrong/",
        f"tasks/{task}/stop/",
    ):  # fmt: skip
        assert client.post(f"/chat/{path}", {"text": "x", "title": "x"}).status_code == 404, path
    assert client.get(f"/chat/tasks/{task}/events").status_code == 404
    assert client.get(f"/chat/{uuid.uuid4()}/").status_code == 404
    assert "Parcels" not in _html(client.get("/chat/conversations/"))
    assert Task.objects.get().status == Status.QUEUED


def test_whoever_is_not_signed_in_is_asked_to(client: Client, conversation: Conversation) -> None:
    message = _say(conversation, "Hello")
    assert client.get(f"/chat/{conversation.pk}/")["Location"].startswith("/account/login/?next=")
    part = client.get(f"/chat/messages/{message.pk}/", headers=HTMX)
    assert (part.status_code, part["HX-Redirect"]) == (200, "/account/login/")
    assert client.get(f"/chat/tasks/{message.task_id}/events").status_code == 403


@pytest.mark.parametrize("text", ["word " * 200, "&\"<>'" * 12_000, "a\n\n" * 9_000, "😀" * 40_000])
def test_a_page_is_light_however_long_the_conversation(
    browser: Client, conversation: Conversation, text: str, django_assert_max_num_queries: Any
) -> None:
    for _ in range(30):
        Conversation.objects.create(owner=conversation.owner, agent=conversation.agent, title="&" * 200)
    for number in range(45):
        _say(conversation, f"{number} {text}", text)
    with django_assert_max_num_queries(MOST_QUERIES):
        page = browser.get(f"/chat/{conversation.pk}/")
    assert len(page.content) <= MOST_BYTES
    seen = 0
    part = _html(page)
    while link := re.search(r'chat-earlier" href="[^"]+" hx-get="([^"]+)"', part):
        seen += part.count('<article class="chat-turn"')
        part = _html(browser.get(link[1], headers=HTMX))
        assert len(part.encode()) <= MOST_BYTES
    assert seen + part.count('<article class="chat-turn"') == 45


def test_a_message_that_is_cut_can_be_read_whole(browser: Client, conversation: Conversation) -> None:
    message = _say(conversation, "x" * 100_000, "Good")
    assert "This message is long" in _html(browser.get(f"/chat/{conversation.pk}/"))
    whole = browser.get(f"/chat/messages/{message.pk}/whole/")
    assert whole["Content-Type"] == "text/plain; charset=utf-8"
    assert whole["X-Content-Type-Options"] == "nosniff"
    assert len(whole.content) == 100_000


@pytest.fixture
def session(server: str, member: User) -> Iterator[httpx.Client]:
    """A browser's requests to the real server."""
    signed_in = Client()
    signed_in.force_login(member)
    cookies = {settings.SESSION_COOKIE_NAME: signed_in.cookies[settings.SESSION_COOKIE_NAME].value}
    with httpx.Client(base_url=server, cookies=cookies, timeout=30) as client:
        yield client


@pytest.mark.django_db(transaction=True)
def test_the_stream_of_a_session_replays_and_resumes(
    session: httpx.Client,
    agent: Agent,
    member: User,
) -> None:
    message = _say(start_conversation(owner=member, agent=agent), "Hello", "Good day")
    address = f"/chat/tasks/{message.task_id}/events"
    whole = session.get(address)
    assert whole.headers["Content-Type"].startswith("text/event-stream")
    numbers = [int(number) for number in re.findall(r"^id: (\d+)$", whole.text, re.MULTILINE)]
    assert numbers == [1, 2, 3, 3]
    assert whole.text.count("event: done") == 1
    rest = session.get(address, headers={"Last-Event-ID": "2"})
    assert re.findall(r"^id: (\d+)$", rest.text, re.MULTILINE) == ["3", "3"]


@pytest.mark.django_db(transaction=True)
def test_open_streams_hold_neither_threads_nor_connections(
    session: httpx.Client,
    agent: Agent,
    member: User,
) -> None:
    from foundation.threads import shelf

    message = _say(start_conversation(owner=member, agent=agent), "Hello")
    address = f"/chat/tasks/{message.task_id}/events"
    opened = [session.stream("GET", address) for _ in range(12)]
    lines = []
    for stream in opened:
        following = stream.__enter__().iter_lines()
        while not next(following).startswith("data:"):
            pass
        lines.append(following)
    # A request of the same browser gets its answer, on a thread that one of them has given back.
    assert session.get("/chat/").status_code == 200
    assert len(shelf._idle) >= 1
    cancel(task=Task.objects.get(), actor=SYSTEM)
    assert all(any(line == "event: done" for line in following) for following in lines)
    for stream in opened:
        stream.__exit__(None, None, None)


def test_an_answer_is_called_wrong_once(browser: Client, conversation: Conversation) -> None:
    message = _say(conversation, "Hello", "Goodbye")
    page = _html(browser.get(f"/chat/{conversation.pk}/"))
    assert f"/chat/messages/{message.pk}/wrong/" in page
    for _time in range(2):
        turn = _html(browser.post(f"/chat/messages/{message.pk}/wrong/", headers=HTMX))
        assert "You called this wrong" in turn
        assert f"/chat/messages/{message.pk}/wrong/" not in turn
    plain = browser.post(f"/chat/messages/{message.pk}/wrong/")
    assert (plain.status_code, plain["Location"]) == (302, f"/chat/{conversation.pk}/#turn-{message.pk}")
    assert Message.objects.filter(rejected_at__isnull=False).count() == 1
    unanswered = _say(conversation, "And now?")
    refused = browser.post(f"/chat/messages/{unanswered.pk}/wrong/", headers=HTMX)
    assert (refused.status_code, refused["HX-Retarget"]) == (409, "#notice")
