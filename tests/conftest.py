"""The cast of every test: admin, operator, member, outsider."""

from __future__ import annotations

from collections.abc import Callable, Iterator

import pytest
from django.contrib.auth.models import Group
from django.core.cache import cache
from django.utils import translation
from rest_framework.test import APIClient

from accounts import limiting, quotas
from accounts.models import User
from accounts.roles import ensure_roles
from agents.tasks import queues, slots

Api = Callable[[User], APIClient]


def _person(name: str, *roles: str, is_staff: bool = False, is_superuser: bool = False) -> User:
    user = User.objects.create_user(
        username=name, password=f"{name}-password-1", is_staff=is_staff, is_superuser=is_superuser
    )
    if roles:
        ensure_roles()
        user.groups.set(Group.objects.filter(name__in=roles))
    return user


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
    queues.forget()
    limiting.forget()
    quotas.forget()
    yield
    cache.clear()
    # A page in another language leaves it active in the thread.
    translation.deactivate()
