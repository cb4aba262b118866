"""What a key is narrowed to beside scopes: networks, agents, limits of its own; and what is made with it."""

from __future__ import annotations

import time
from datetime import timedelta
from decimal import Decimal
from typing import Any

import pytest
from django.core.management import CommandError, call_command

from accounts.audit import SYSTEM
from accounts.exceptions import (
    AgentNotUsable,
    InvalidAddress,
    InvalidLimit,
    KeyEnded,
    KeyRefused,
    NotManageable,
    ScopeTooWide,
)
from accounts.issuing import check_may_issue, issue_api_key, revoke_api_key, rotate_api_key
from accounts.keys import authenticate
from accounts.models import ApiKey, AuditEvent, Quota, RateLimit, User
from accounts.networks import MOST, are_within, check_networks
from accounts.roles import ensure_roles
from agents.definitions.services import create_agent
from tests.accounts.conftest import Client, Issue

pytestmark = pytest.mark.django_db


@pytest.fixture(autouse=True)
def _agents() -> None:
    for slug in ("echo", "other"):
        create_agent(slug=slug, model="scripted:echo")


def opens(text: str, address: str | None = "203.0.113.7") -> bool:
    try:
        authenticate(text, address=address)
    except KeyRefused:
        return False
    return True


@pytest.mark.parametrize(
    ("given", "kept"),
    [
        ([" 203.0.113.7 "], ["203.0.113.7/32"]),
        (["10.1.0.0/16", "10.1.0.0/16", ""], ["10.1.0.0/16"]),
        (["2001:DB8::/32", "10.0.0.1"], ["10.0.0.1/32", "2001:db8::/32"]),
        (["::ffff:203.0.113.0/120"], ["203.0.113.0/24"]),
        (["::ffff:203.0.113.7"], ["203.0.113.7/32"]),
    ],
)
def test_networks_are_kept_in_one_form(given: list[str], kept: list[str]) -> None:
    assert check_networks(given) == kept


@pytest.mark.parametrize(
    "wrong", ["10.1.0.5/16", "10.1.0.0/33", "example.com", "1.2.3", "٣.1.1.1", "10.0.0.1/16 x", "::%eth0/64"]
)
def test_what_is_no_network_is_refused_by_name(wrong: str) -> None:
    with pytest.raises(InvalidAddress):
        check_networks([wrong])


def test_networks_are_counted() -> None:
    with pytest.raises(InvalidAddress, match="At most 50"):
        check_networks([f"10.0.{number}.0/24" for number in range(MOST + 1)])


@pytest.mark.parametrize(
    ("address", "is_in"),
    [
        ("203.0.113.7", True),
        ("::ffff:203.0.113.7", True),
        ("203.0.114.7", False),
        ("2001:db8::1", True),
        ("2001:db9::1", False),
        (None, False),
    ],
)
def test_a_key_opens_from_its_networks_alone(issue: Issue, address: str | None, *, is_in: bool) -> None:
    issued = issue(addresses=["203.0.113.0/24", "2001:db8::/32"])
    assert opens(issued.key, address) is is_in


@pytest.mark.parametrize(
    ("inner", "outer", "expected"),
    [
        (["10.1.0.0/16"], ["10.0.0.0/8"], True),
        (["10.0.0.0/8"], ["10.1.0.0/16"], False),
        (["10.1.0.0/16", "192.0.2.0/24"], ["10.0.0.0/8"], False),
        (["2001:db8::/48"], ["10.0.0.0/8", "2001:db8::/32"], True),
    ],
)
def test_networks_within_networks(inner: list[str], outer: list[str], *, expected: bool) -> None:
    assert are_within(inner, outer) is expected


def test_what_the_proxy_saw_counts_and_what_the_client_wrote_does_not(
    issue: Issue, bearing: Client, settings: Any
) -> None:
    issued = issue(addresses=["203.0.113.7"])
    spoofed = {"HTTP_X_FORWARDED_FOR": "203.0.113.7"}
    assert bearing(issued.key, **spoofed).get("/api/v1/me").status_code == 401
    settings.TRUSTED_PROXIES = 1
    assert bearing(issued.key, **spoofed).get("/api/v1/me").status_code == 200
    assert bearing(issued.key, HTTP_X_FORWARDED_FOR="203.0.113.7, 192.0.2.1").get("/api/v1/me").status_code == 401
    assert bearing(issued.key, HTTP_X_FORWARDED_FOR="rubbish").get("/api/v1/me").status_code == 401


def test_agents_are_those_that_the_owner_may_use(issue: Issue, outsider: User) -> None:
    assert issue(agents=["other", "echo", "echo"]).row.agents == ["echo", "other"]
    for owner, slug in ((None, "nothing"), (outsider, "echo")):
        with pytest.raises(AgentNotUsable, match=slug):
            issue(name="more", agents=[slug], **({"owner": owner} if owner else {}))


def test_limits_of_its_own_are_rows_made_with_it(issue: Issue) -> None:
    row = issue(rate="100/m", monthly_cost=Decimal("12.50")).row
    assert RateLimit.objects.get().api_key == row
    quota = Quota.objects.get()
    assert (quota.api_key, quota.unit, quota.period, quota.amount) == (row, "cost", "month", Decimal("12.5"))
    told = AuditEvent.objects.get(verb="api_key.issue").changes
    assert told["limits"] == ["100/m", "12.5 cost/month"]


@pytest.mark.parametrize(
    "wrong",
    [
        {"rate": "1000/month"}, {"rate": "x"}, {"monthly_cost": Decimal(-1)}, {"monthly_cost": Decimal("NaN")},
        {"monthly_cost": Decimal(10) ** 14}, {"monthly_cost": Decimal("0.0000001")},
    ],
)  # fmt: skip
def test_a_wrong_limit_makes_no_key(issue: Issue, wrong: dict[str, Any]) -> None:
    with pytest.raises(InvalidLimit) as refused:
        issue(**wrong)
    assert refused.value.errors.keys() == wrong.keys()
    assert (ApiKey.objects.count(), RateLimit.objects.count(), Quota.objects.count()) == (0, 0, 0)


def test_rotation_carries_everything(issue: Issue) -> None:
    old = issue(agents=["echo"], addresses=["203.0.113.7"], scopes=["tasks:read"], rate="5/s").row
    new = rotate_api_key(api_key=old, actor=SYSTEM, overlap=timedelta(hours=1)).row
    carried = ("scopes", "agents", "addresses", "lineage", "owner_id", "name", "made_with_id")
    assert [getattr(new, name) for name in carried] == [getattr(old, name) for name in carried]
    assert RateLimit.objects.get(api_key__lineage=new.lineage).rate == "5/s"


@pytest.mark.parametrize(
    ("of_key", "asked", "allowed"),
    [
        ({"agents": ["echo"]}, {"agents": ["echo"]}, True),
        ({"agents": ["echo"]}, {"agents": []}, False),
        ({"agents": ["echo"]}, {"agents": ["other"]}, False),
        ({"agents": ["echo"]}, {"agents": ["echo", "other"]}, False),
        ({"addresses": ["10.0.0.0/8"]}, {"addresses": ["10.1.0.0/16"]}, True),
        ({"addresses": ["10.0.0.0/8"]}, {"addresses": []}, False),
        ({"addresses": ["10.0.0.0/8"]}, {"addresses": ["0.0.0.0/0"]}, False),
    ],
)
def test_a_key_makes_no_key_that_reaches_further(
    issue: Issue, of_key: dict[str, Any], asked: dict[str, Any], *, allowed: bool
) -> None:
    maker = issue(name="maker", **of_key).row
    if allowed:
        made = issue(within=maker, **asked).row
        assert (made.made_with, made.lineage) == (maker, maker.lineage)
        return
    with pytest.raises(ScopeTooWide):
        issue(within=maker, **asked)
    assert ApiKey.objects.count() == 1


def test_a_limited_key_gets_round_its_limit_neither_by_a_new_key_nor_by_another_one(issue: Issue) -> None:
    limited = issue(name="limited", rate="5/s").row
    free = issue(name="free").row
    assert issue(name="child", within=limited).row.lineage == limited.lineage
    with pytest.raises(ScopeTooWide):
        rotate_api_key(api_key=free, actor=SYSTEM, within=limited)
    assert rotate_api_key(api_key=limited, actor=SYSTEM, within=limited).row.lineage == limited.lineage


def test_what_was_made_with_a_key_ends_with_it_and_nothing_else_does(issue: Issue) -> None:
    stolen, bystander = issue(name="stolen"), issue(name="bystander")
    child = issue(name="child", within=stolen.row)
    grandchild = issue(name="grandchild", within=child.row)
    revoke_api_key(api_key=stolen.row, actor=SYSTEM)
    assert [opens(each.key) for each in (stolen, child, grandchild, bystander)] == [False, False, False, True]
    event = AuditEvent.objects.get(verb="api_key.revoke")
    assert event.changes == {"also": sorted([child.row.prefix, grandchild.row.prefix])}


def test_children_outlive_the_rotation_of_their_maker_and_end_with_its_successor(issue: Issue) -> None:
    maker = issue(name="maker")
    child = issue(name="child", within=maker.row)
    successor = rotate_api_key(api_key=maker.row, actor=SYSTEM)
    maker.row.refresh_from_db()
    assert [opens(each.key) for each in (maker, child, successor)] == [False, True, True]
    revoke_api_key(api_key=successor.row, actor=SYSTEM)
    assert [opens(each.key) for each in (child, successor)] == [False, False]


def test_revoking_an_old_key_in_its_overlap_leaves_the_successor(issue: Issue) -> None:
    old = issue()
    new = rotate_api_key(api_key=old.row, actor=SYSTEM, overlap=timedelta(hours=1))
    old.row.refresh_from_db()
    revoke_api_key(api_key=old.row, actor=SYSTEM)
    assert (opens(old.key), opens(new.key)) == (False, True)


def test_a_key_that_was_revoked_a_moment_ago_makes_none(issue: Issue) -> None:
    maker = issue(name="maker").row
    revoke_api_key(api_key=maker, actor=SYSTEM)
    with pytest.raises(KeyEnded):
        issue(within=maker)


def test_the_refusal_of_a_known_key_is_written_down_once_a_minute_for_each(
    issue: Issue, bearing: Client, monkeypatch: pytest.MonkeyPatch
) -> None:
    revoked, away = issue(name="revoked"), issue(name="away", addresses=["203.0.113.7"])
    revoke_api_key(api_key=revoked.row, actor=SYSTEM)
    for _again in range(3):
        for text in (revoked.key, away.key, f"mut_{'0' * 10}_{'0' * 64}"):
            answer = bearing(text).get("/api/v1/me")
            assert (answer.status_code, answer.json()["type"]) == (401, "urn:mutirao:invalid-key")
    events = AuditEvent.objects.filter(verb="api_key.use", outcome="denied").order_by("created_at")
    assert [(event.subject_id, event.changes) for event in events] == [
        (revoked.row.pk, {"reason": "revoked"}),
        (away.row.pk, {"reason": "address"}),
    ]
    now = time.monotonic()
    monkeypatch.setattr("foundation.seldom.time.monotonic", lambda: now + 61)
    bearing(revoked.key).get("/api/v1/me")
    assert events.all().count() == 3


def test_whoever_is_refused_learns_nothing_of_the_key(issue: Issue, bearing: Client) -> None:
    issued = issue(addresses=["203.0.113.7"])
    answers = [bearing(text).get("/api/v1/me").json() for text in (issued.key, f"mut_{'0' * 10}_{'0' * 64}")]
    for answer in answers:
        del answer["request_id"]
    assert answers[0] == answers[1]


def test_issuing_for_others_needs_the_right_and_all_of_theirs(admin: User, member: User, operator: User) -> None:
    ensure_roles()
    administrator = User.objects.create_user("chief", password="chief-password-1")
    administrator.groups.add(*admin.groups.all())
    check_may_issue(user=member, owner=member)
    check_may_issue(user=admin, owner=operator)
    check_may_issue(user=administrator, owner=operator)
    for user, owner in ((member, operator), (operator, member), (administrator, admin)):
        with pytest.raises(NotManageable):
            check_may_issue(user=User.objects.get(pk=user.pk), owner=owner)


def test_the_api_takes_and_shows_agents_and_networks(issue: Issue, bearing: Client) -> None:
    client = bearing(issue().key)
    wanted = {"name": "robot", "agents": ["echo"], "addresses": ["10.1.0.0/16", "203.0.113.7"]}
    answer = client.post("/api/v1/api-keys", wanted)
    assert answer.status_code == 201
    shown = client.get(f"/api/v1/api-keys/{answer.json()['id']}").json()
    assert (shown["agents"], shown["addresses"]) == (["echo"], ["10.1.0.0/16", "203.0.113.7/32"])
    for field, wrong in (("agents", ["nothing"]), ("addresses", ["10.1.0.5/16"])):
        refused = client.post("/api/v1/api-keys", {"name": "wrong", field: wrong})
        assert (refused.status_code, list(refused.json()["errors"])) == (400, [field])
    assert ApiKey.objects.count() == 2


def test_the_command_takes_agents_and_networks(member: User, capsys: pytest.CaptureFixture[str]) -> None:
    call_command(
        "create_api_key", user="member", name="robot", agent=["echo"], address=["203.0.113.0/24"], expires_in_days=7
    )
    assert capsys.readouterr().out.startswith("mut_")
    row = ApiKey.objects.get()
    assert (row.agents, row.addresses) == (["echo"], ["203.0.113.0/24"])
    assert row.expires_at is not None
    wrong: list[tuple[dict[str, Any], str]] = [
        ({"agent": ["nothing"]}, "no agent"),
        ({"address": ["somewhere"]}, "no address"),
        ({"expires_in_days": 0}, "1 to"),
        ({"expires_in_days": 10**9}, "1 to"),
    ]
    for options, sentence in wrong:
        with pytest.raises(CommandError, match=sentence):
            call_command("create_api_key", user="member", name="wrong", **options)
    assert ApiKey.objects.count() == 1


def test_a_key_of_somebody_else_is_never_made_by_the_service_unasked(member: User) -> None:
    issued = issue_api_key(owner=member, name="one", actor=SYSTEM)
    assert authenticate(issued.key).owner == member
