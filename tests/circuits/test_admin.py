"""Circuit breakers in the admin: nothing is held or released by a slip of the hand."""

from __future__ import annotations

import re

import pytest
from django.test import Client
from django.utils import translation

from accounts.models import AuditEvent, User
from agents.circuits import directory
from agents.circuits.models import CircuitChange, ForcedCircuit, State
from agents.circuits.serializers import CircuitSerializer
from tests.circuits.conftest import break_circuit

pytestmark = pytest.mark.django_db
LIST = "/admin/agents_circuits/circuitchange/"


@pytest.fixture
def browser(client: Client, admin: User) -> Client:
    client.force_login(admin)
    return client


def _page(key: str) -> str:
    return f"{LIST}of/{key}/"


def test_they_are_listed_and_shown(browser: Client, key: str) -> None:
    break_circuit(key)
    listed = browser.get(LIST)
    assert listed.status_code == 200
    assert b"the kettle" in listed.content
    assert b"connection refused" in browser.get(_page(key)).content
    assert browser.get(_page("nothing:1")).status_code == 404


def test_holding_one_is_asked_about_and_then_done(browser: Client, key: str) -> None:
    # Enter in the field of the reason sends this, too: the first button of the form.
    wanted = {"state": "open", "reason": "repairs & tests"}
    asked = browser.post(_page(key), wanted).content.decode()
    assert "<h2>Hold it open?</h2>" in asked
    assert "the kettle" in asked
    assert ForcedCircuit.objects.count() == 0
    carried = dict(re.findall(r'<input type="hidden" name="(state|reason|confirmed)" value="([^"]*)"', asked))
    assert carried == {"state": "open", "reason": "repairs &amp; tests", "confirmed": "yes"}
    assert browser.post(_page(key), wanted | {"confirmed": "yes"}).headers["Location"] == _page(key)
    held = ForcedCircuit.objects.get()
    assert (held.state, held.reason) == ("open", "repairs & tests")
    assert AuditEvent.objects.filter(verb="circuit.force").count() == 1


def test_releasing_is_said_and_asked_about(browser: Client, key: str) -> None:
    ForcedCircuit.objects.create(key=key, state="open")
    for nothing_said in ({}, {"state": ""}, {"state": "ajar"}, {"reason": "x"}):
        answer = browser.post(_page(key), nothing_said | {"confirmed": "yes"})
        assert answer.status_code == 200
        assert 'role="alert"' in answer.content.decode()
    assert ForcedCircuit.objects.count() == 1
    assert "Release it?" in browser.post(_page(key), {"state": "release"}).content.decode()
    assert ForcedCircuit.objects.count() == 1
    assert browser.post(_page(key), {"state": "release", "confirmed": "yes"}).status_code == 302
    assert ForcedCircuit.objects.count() == 0
    again = browser.post(_page(key), {"state": "release", "confirmed": "yes"}, follow=True)
    assert again.status_code == 200
    assert AuditEvent.objects.filter(verb="circuit.release").count() == 1


@pytest.mark.parametrize("reason", ["a\x00b", "x" * 501])
def test_a_reason_that_cannot_be_kept_is_refused_beside_its_field(browser: Client, key: str, reason: str) -> None:
    for answer in ({}, {"confirmed": "yes"}):
        refused = browser.post(_page(key), {"state": "open", "reason": reason} | answer)
        assert refused.status_code == 200
        assert 'id="reason-error"' in refused.content.decode()
    assert ForcedCircuit.objects.count() == 0


def test_who_may_only_look_holds_nothing(client: Client, member: User, key: str) -> None:
    from django.contrib.auth.models import Permission

    member.is_staff = True
    member.save()
    member.user_permissions.set(Permission.objects.filter(codename="view_circuitchange"))
    client.force_login(member)
    assert "Hold open" not in client.get(_page(key)).content.decode()
    for answer in ({}, {"confirmed": "yes"}):
        assert client.post(_page(key), {"state": "open"} | answer).status_code == 403
    assert ForcedCircuit.objects.count() == 0


@pytest.mark.parametrize("language", ["en", "pt-br"])
def test_a_step_has_its_colour_in_every_language(browser: Client, key: str, language: str) -> None:
    CircuitChange.objects.create(key=key, before="open", after="half_open", why="x")
    with translation.override(language):
        state = str(State.HALF_OPEN.label)
    text = browser.get(LIST, headers={"accept-language": language}).content.decode()
    badge = re.search(rf'<span class="[^"]*(bg-\S+-100)[^"]*"\s*>\s*{state}\s*</span>', text)
    assert badge is not None
    assert badge[1] == "bg-orange-100"


def test_changes_are_found_by_the_key_or_the_name_of_what_is_protected(browser: Client, key: str) -> None:
    CircuitChange.objects.create(key=key, before="closed", after="open", why="the one")
    CircuitChange.objects.create(key="deployment:gone", before="closed", after="open", why="the other")
    for said in (key, "the kettle", " the kettle "):
        text = browser.get(LIST, {"q": said}).content.decode()
        assert "the one" in text
        assert "the other" not in text
    assert "the other" in browser.get(LIST, {"q": "deployment:gone"}).content.decode()
    assert "the one" not in browser.get(LIST, {"q": "kettle"}).content.decode()


def test_the_texts_name_only_what_is_protected(browser: Client) -> None:
    said = str(CircuitSerializer().fields["kind"].help_text)
    named = re.findall(r"\w+", said.partition("such as ")[2])
    assert named
    assert set(named) - {"or"} <= set(directory._listings)
    text = browser.get(LIST).content.decode()
    assert "Nothing is protected yet" in text
    assert "connection" not in text
