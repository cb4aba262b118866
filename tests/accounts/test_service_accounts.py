"""Service accounts: programs with roles and keys, that nobody signs in as."""

from __future__ import annotations

import re

import pytest
from django.contrib.auth.models import Group, Permission
from django.core import mail
from django.core.management import call_command
from django.db import IntegrityError, transaction
from django.test import Client
from django.urls import reverse
from rest_framework.test import APIClient

from accounts.audit import SYSTEM
from accounts.exceptions import InvalidPerson
from accounts.models import ApiKey, AuditEvent, ServiceAccount, User
from accounts.rights import beyond, may_manage
from accounts.roles import ensure_roles
from accounts.service_accounts import change_service_account, make_service_account

pytestmark = pytest.mark.django_db
CHANGELIST = "/admin/accounts/serviceaccount/"


@pytest.fixture
def robot(db: None) -> User:
    ensure_roles()
    return make_service_account(name="robot", actor=SYSTEM, roles=Group.objects.filter(name="member"))


@pytest.fixture
def chief(db: None) -> User:
    """An administrator by role."""
    ensure_roles()
    user = User.objects.create_user("chief", password="chief-password-1", is_staff=True)
    user.groups.set(Group.objects.filter(name="administrator"))
    return user


def test_it_has_roles_and_keys_and_no_password(robot: User, capsys: pytest.CaptureFixture[str]) -> None:
    assert (robot.is_service, robot.has_usable_password(), robot.is_staff) == (True, False, False)
    assert AuditEvent.objects.get(verb="user.create").changes == {"is_service": True}
    assert AuditEvent.objects.get(verb="user.roles").changes == {"roles": {"before": [], "after": ["member"]}}
    call_command("create_api_key", user="robot", name="nightly", scope=["tasks:read"])
    client = APIClient()
    client.credentials(HTTP_X_API_KEY=capsys.readouterr().out.strip())
    assert client.get("/api/v1/me").json()["username"] == "robot"


def test_nobody_signs_in_as_it_even_with_a_password(robot: User) -> None:
    robot.set_password("robot-password-1")
    robot.email = "robot@example.com"
    robot.save()
    given = {"username": "robot", "password": "robot-password-1"}
    assert APIClient().post("/api/v1/auth/token", given).status_code == 401
    browser = Client()
    browser.post("/account/login/", {"login": "robot", "password": "robot-password-1"})
    assert "_auth_user_id" not in browser.session
    browser.post("/account/password/reset/", {"email": "robot@example.com"})
    assert not mail.outbox
    browser.force_login(robot)
    assert browser.get("/").status_code == 302, "a session that somehow is there opens nothing"


@pytest.mark.parametrize("right", ["is_staff", "is_superuser"])
def test_it_is_never_staff(robot: User, right: str) -> None:
    with pytest.raises(IntegrityError), transaction.atomic():
        User.objects.filter(pk=robot.pk).update(**{right: True})


@pytest.mark.parametrize("name", ["", "robot", "x" * 151, "with space"])
def test_a_wrong_name_makes_none(robot: User, name: str) -> None:
    with pytest.raises(InvalidPerson):
        make_service_account(name=name, actor=SYSTEM)
    assert ServiceAccount.objects.count() == 1


def test_turning_it_off_ends_its_keys_on_the_next_request(robot: User, capsys: pytest.CaptureFixture[str]) -> None:
    call_command("create_api_key", user="robot", name="nightly")
    client = APIClient()
    client.credentials(HTTP_X_API_KEY=capsys.readouterr().out.strip())
    assert client.get("/api/v1/me").status_code == 200
    roles = [*robot.groups.all()]
    assert change_service_account(user=robot, actor=SYSTEM, is_active=False, roles=roles) == ["is_active"]
    assert client.get("/api/v1/me").status_code == 401
    assert change_service_account(user=robot, actor=SYSTEM, is_active=True, roles=[]) == ["is_active", "roles"]
    assert client.get("/api/v1/me").json()["roles"] == []
    assert change_service_account(user=robot, actor=SYSTEM, is_active=True, roles=[]) == []
    assert AuditEvent.objects.filter(verb="user.change", subject_id=robot.pk).count() == 2


def test_who_manages_whom(admin: User, chief: User, operator: User, member: User, robot: User) -> None:
    for user, target, may in (
        (admin, chief, True), (chief, admin, False), (chief, operator, True), (operator, chief, False),
        (operator, robot, True), (member, operator, False), (robot, operator, False),
    ):  # fmt: skip
        assert may_manage(User.objects.get(pk=user.pk), target) is may, (user, target)
    User.objects.filter(pk=chief.pk).update(is_active=False)
    assert not may_manage(User.objects.get(pk=operator.pk), User.objects.get(pk=chief.pk)), "they may come back"
    administrator = Group.objects.get(name="administrator")
    found = [beyond(User.objects.get(pk=user.pk), [administrator]) for user in (admin, operator)]
    assert found == [frozenset(), {administrator.pk}]


def test_the_admin_makes_one_and_leads_to_its_first_key(client: Client, chief: User) -> None:
    client.force_login(chief)
    role = Group.objects.get(name="operator")
    made = client.post(f"{CHANGELIST}add/", {"username": "robot", "groups": [role.pk]})
    account = ServiceAccount.objects.get()
    assert made.headers["Location"] == f"{CHANGELIST}{account.pk}/change/"
    assert (account.is_service, [*account.groups.all()]) == (True, [role])
    page = client.get(made.headers["Location"]).content.decode()
    (issue,) = re.findall(r'href="(/admin/accounts/apikey/add/\?owner=[^"]+)"', page)
    assert client.get(issue).status_code == 200
    shown = client.post(issue.partition("?")[0], {"owner": str(account.pk), "name": "nightly"})
    assert re.search(r"mut_[0-9a-f]{10}_[0-9a-f]{64}", shown.content.decode())
    assert ApiKey.objects.get().owner_id == account.pk
    listed = client.get(CHANGELIST).content.decode()
    assert "operator" in listed
    (keys,) = re.findall(r'href="(/admin/accounts/apikey/\?owner__id__exact=[^"]+)">1<', listed)
    assert "nightly" in client.get(keys).content.decode()
    off = {"groups": [role.pk]}
    client.post(f"{CHANGELIST}{account.pk}/change/", off)
    account.refresh_from_db()
    assert not account.is_active


def test_the_admin_gives_no_role_that_the_asker_lacks(client: Client, chief: User, admin: User) -> None:
    strong = Group.objects.create(name="strong")
    strong.permissions.set(Permission.objects.all())
    client.force_login(chief)
    page = client.get(f"{CHANGELIST}add/").content.decode()
    boxes = dict(re.findall(r'<input type="checkbox" name="groups" value="(\d+)"([^>]*)>', page))
    assert [Group.objects.get(pk=pk).name for pk, rest in boxes.items() if "disabled" in rest] == ["strong"]
    assert len(boxes) == Group.objects.count()
    answer = client.post(f"{CHANGELIST}add/", {"username": "robot", "groups": [strong.pk]})
    assert answer.status_code == 200
    assert not ServiceAccount.objects.exists()
    mighty = make_service_account(name="mighty", actor=SYSTEM, roles=[strong])
    assert client.post(f"{CHANGELIST}{mighty.pk}/change/", {"is_active": "on"}).status_code == 403
    assert [*mighty.groups.all()] == [strong]


def test_the_admin_issues_and_rotates_no_key_of_somebody_with_more_rights(
    client: Client, chief: User, admin: User, operator: User
) -> None:
    client.force_login(chief)
    add = reverse("admin:accounts_apikey_add")
    refused = client.post(add, {"owner": str(admin.pk), "name": "stolen"})
    assert "has all rights of the owner" in refused.content.decode()
    assert not ApiKey.objects.exists()
    client.post(add, {"owner": str(operator.pk), "name": "fine"})
    assert ApiKey.objects.get().owner == operator
    client.force_login(admin)
    client.post(add, {"owner": str(admin.pk), "name": "own"})
    mine = ApiKey.objects.get(owner=admin)
    rotate = {"action": "rotate_keys", "_selected_action": [str(mine.pk)], "confirmed": "yes", "overlap": "0"}
    client.force_login(chief)
    client.post(reverse("admin:accounts_apikey_changelist"), rotate)
    mine.refresh_from_db()
    assert mine.is_live


def test_people_who_may_not_see_users_see_no_service_accounts(client: Client, operator: User, robot: User) -> None:
    client.force_login(operator)
    assert client.get(CHANGELIST).status_code == 403
    assert client.get(f"{CHANGELIST}{robot.pk}/change/").status_code == 403
    assert CHANGELIST not in client.get("/admin/").content.decode()


def test_the_page_of_people_does_not_change_one(client: Client, admin: User, robot: User) -> None:
    client.force_login(admin)
    answer = client.post(f"/admin/accounts/user/{robot.pk}/change/", {"username": "robot", "is_staff": "on"})
    assert answer.status_code == 403
    assert client.get(f"/admin/accounts/user/{robot.pk}/password/").status_code == 403
