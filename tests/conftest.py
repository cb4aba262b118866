"""The cast of every test: admin, operator, member, outsider."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from django.contrib.auth.models import Group
from django.core.cache import cache
from django.db import connection
from django.utils import translation
from pytest_django import DjangoDbBlocker
from rest_framework.test import APIClient

from accounts import limiting, quotas
from accounts.models import User
from agents.cache import thresholds
from agents.circuits import protection
from agents.gateway import prices, routing
from agents.tasks import queues, slots
from tests import emptying, overriding, prepared
from tests.environment import GIVEN
from tests.ready_roles import ready_roles

Api = Callable[[User], APIClient]

# What takes long comes first: parallel parts end together, as short files are left to fill the gaps.
LONG = ("chaos", "security", "e2e", "pages/browser")

overriding.install()


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """The order for which `.ci/run` asks pytest-xdist to leave as it is."""
    folders = tuple(str(Path(__file__).parent / name) for name in LONG)
    items.sort(key=lambda item: not str(item.path).startswith(folders))


def _person(name: str, *roles: str, is_staff: bool = False, is_superuser: bool = False) -> User:
    user = User.objects.create_user(
        username=name, password=f"{name}-password-1", is_staff=is_staff, is_superuser=is_superuser
    )
    if roles:
        ready_roles()
        user.groups.set(Group.objects.filter(name__in=roles))
    return user


@pytest.fixture(scope="session")
def django_db_modify_db_settings(django_db_modify_db_settings: None) -> None:
    """The tests' own database begins as a copy of one that is migrated."""
    database = connection.settings_dict
    if connection.vendor == "sqlite":
        prepared.sqlite(Path(database["TEST"]["NAME"]))
    else:
        database["TEST"]["TEMPLATE"] = prepared.template(GIVEN["DATABASE_URL"].rpartition("/")[0])


@pytest.fixture(scope="session")
def django_db_keepdb() -> bool:
    """A file that was copied is not to be made anew; it goes with its folder."""
    return connection.vendor == "sqlite"


@pytest.fixture(scope="session")
def django_db_setup(django_db_setup: None, django_db_blocker: DjangoDbBlocker) -> Iterator[None]:
    """At the end threads that never end may still have a connection, which would keep the database from going."""
    with pytest.MonkeyPatch.context() as patched:
        emptying.install(patched, connection)
        yield
    if connection.vendor == "postgresql":
        with django_db_blocker.unblock():
            connection.close()
            connection.close_pool()  # type: ignore[attr-defined]  # of PostgreSQL
        prepared.end_connections(GIVEN["DATABASE_URL"].rpartition("/")[0], connection.settings_dict["NAME"])


@pytest.fixture
def admin(db: None) -> User:
    """Everything is allowed."""
    return _person("admin", "administrator", is_staff=True, is_superuser=True)


@pytest.fixture
def operator(db: None) -> User:
    """Sees everything that runs, may retry and cancel it."""
    return _person("operator", "operator", is_staff=True)


@pytest.fixture
def member(db: None) -> User:
    """Uses agents and sees what is their own."""
    return _person("member", "member")


@pytest.fixture
def outsider(db: None) -> User:
    """Has an account and no role."""
    return _person("outsider")


@pytest.fixture
def api() -> Api:
    """A client of the API that is already signed in as somebody."""

    def client_of(user: User) -> APIClient:
        client = APIClient()
        client.force_authenticate(user)
        return client

    return client_of


@pytest.fixture(autouse=True)
def _clean_cache() -> Iterator[None]:
    slots.exist.forget()
    thresholds.learned.forget()
    queues.forget()
    limiting.forget()
    quotas.forget()
    prices.forget()
    routing.forget()
    protection.forget()
    yield
    cache.clear()
    # A page in another language leaves it active in the thread.
    translation.deactivate()
