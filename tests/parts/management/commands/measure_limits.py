"""What limits cost: prints a JSON object of mark → milliseconds."""

from __future__ import annotations

import json
import time
from collections.abc import Callable
from decimal import Decimal
from statistics import median
from typing import Any

from django.core.management.base import BaseCommand
from django.db import transaction

from accounts import limiting
from accounts.audit import SYSTEM
from accounts.limits import create_quota
from accounts.models import Quota, User
from agents.definitions.models import Agent
from agents.tasks.services import submit

TIMES = 300


class Command(BaseCommand):
    help = "Measures the throttle and submissions under quotas, and undoes what it has done."

    def handle(self, *args: Any, **options: Any) -> None:
        user = User.objects.get(username="admin")
        limits = limiting.limits_of_caller(user, None)
        assert limits, "the settings have a limit for users"
        figures = {"throttle, a request": _ms(lambda: limiting.count(limits))}
        figures["submit without a quota"] = _ms(lambda: _submit(user))
        for subject in ("user:admin", "everybody", "agent:one-node"):
            create_quota(subject=subject, unit="cost", period="day", amount=Decimal(10**9), actor=SYSTEM)
        figures["submit with 3 quotas"] = _ms(lambda: _submit(user))
        Quota.objects.all().delete()
        self.stdout.write(json.dumps(figures))


def _submit(user: User) -> None:
    agent = Agent.objects.select_related("current_version").get(slug="one-node")
    # As a request has it: committed, but for a time when no worker of the platform will look at it.
    with transaction.atomic():
        submit(owner=user, agent=agent, input={"value": 1}, queue="nobody")


def _ms(work: Callable[[], object]) -> float:
    found = []
    for _time in range(TIMES):
        began = time.perf_counter()
        work()
        found.append((time.perf_counter() - began) * 1000)
    return median(found)
