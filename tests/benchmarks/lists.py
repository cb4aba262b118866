"""Lists at a million rows: what is asked, how long it takes, and how the database finds it."""

from __future__ import annotations

import json
import re
from dataclasses import dataclass
from statistics import median
from typing import Any

import httpx

from tests.benchmarks.pages import look, sign_in
from tests.site import ROOT, Site

LOOKS = 5
GOAL_MS = 300
OPERATOR, MEMBER = "ana", "bruno"
API, ADMIN, PAGE = "/api/v1/tasks", "/admin/agents_tasks/task/", "/tasks/"
PLANS = ROOT / "docs" / "query-plans.md"
MEASURED = "<!-- measured -->"


@dataclass(frozen=True, slots=True)
class Look:
    """One list that somebody reads. `address` names what stands in the rows as `{field}` (see Names of
    `manage.py explain_lists`).
    """

    name: str
    address: str
    who: str = OPERATOR


SEARCHES = ("id", "idempotency_key", "request_id", "trace_id", "owner", "agent")
API_FILTERS = (
    "status=succeeded", "status=failed", "status=queued&status=running", "agent={agent}", "agent={seldom_agent}",
    "created_after={yesterday}", "created_before={long_ago}", "retry_of={retried}", "conversation={conversation}",
)  # fmt: skip
ADMIN_FILTERS = (
    "status__exact=succeeded", "status__exact=failed", "status__exact=running", "priority__exact=1",
    "priority__exact=3", "queue=interactive", "queue=background", "queue={seldom_queue}",
    "created_at__gte={yesterday}", "created_at__lt={long_ago}",
)  # fmt: skip
LOOKS_AT = (
    Look("API", API),
    *(Look(f"API, {each.replace('{', '').replace('}', '')}", f"{API}?{each}") for each in API_FILTERS),
    *(Look(f"API, search {each}", f"{API}?search={{{each}}}") for each in (*SEARCHES, "seldom_owner", "nothing")),
    Look("API, the oldest first", f"{API}?ordering=created_at"),
    Look("API, one's own", API, MEMBER),
    Look("API, one's own, status=failed", f"{API}?status=failed", MEMBER),
    Look("API, one's own, status=queued", f"{API}?status=queued", MEMBER),
    Look("API, one's own, agent=seldom_agent", f"{API}?agent={{seldom_agent}}", MEMBER),
    Look("API, one's own, search request_id", f"{API}?search={{request_id}}", MEMBER),
    Look("admin", ADMIN),
    *(Look(f"admin, {each.replace('{', '').replace('}', '')}", f"{ADMIN}?{each}") for each in ADMIN_FILTERS),
    *(Look(f"admin, search {each}", f"{ADMIN}?q={{{each}}}") for each in (*SEARCHES, "seldom_owner", "nothing")),
    Look("page /tasks/", PAGE),
    Look("page /tasks/, one's own", PAGE, MEMBER),
    Look("page /tasks/, status=failed", f"{PAGE}?status=failed"),
    Look("page /tasks/, agent=seldom_agent", f"{PAGE}?agent={{seldom_agent}}"),
    Look("page /tasks/, search trace_id", f"{PAGE}?q={{trace_id}}"),
    Look("page /operations/", "/operations/"),
    Look("page /", "/"),
    Look("page /, one's own", "/", MEMBER),
)


def mark_of(each: Look) -> str:
    """The name of its mark."""
    return f"1,000,000 tasks: {each.name}"


def measure_lists(site: Site) -> dict[str, float]:
    """Mark → milliseconds, median of some looks; writes the plans into docs/query-plans.md."""
    seeded = site.manage("seed_tasks", timeout=1800)
    assert seeded.returncode == 0, seeded.stderr
    return look_at_all(site, password=seeded.stdout.strip().splitlines()[-1])


def look_at_all(site: Site, *, password: str) -> dict[str, float]:
    """The same for a platform that has its million rows."""
    explained = site.manage("explain_lists", timeout=600)
    assert explained.returncode == 0, explained.stderr
    found: dict[str, dict[str, Any]] = json.loads(explained.stdout.strip().splitlines()[-1])
    keys = {who: site.make_key(who) for who in (OPERATOR, MEMBER)}
    base = f"http://127.0.0.1:{site.port}"
    with (
        httpx.Client(base_url=base, timeout=60, follow_redirects=True) as operator,
        httpx.Client(base_url=base, timeout=60, follow_redirects=True) as member,
    ):
        clients = {OPERATOR: operator, MEMBER: member}
        for who, client in clients.items():
            sign_in(client, who, password)
        times = {each.name: _time_of(each, found[each.name]["address"], clients, keys) for each in LOOKS_AT}
    write_plans(found, times)
    return {mark_of(each): times[each.name] for each in LOOKS_AT}


def _time_of(each: Look, address: str, clients: dict[str, httpx.Client], keys: dict[str, str]) -> float:
    headers = {"Authorization": f"Bearer {keys[each.who]}"} if address.startswith("/api/") else {}
    # The first one of a client makes connections.
    look(clients[each.who], address, headers)
    return median(look(clients[each.who], address, headers) for _ in range(LOOKS))


def write_plans(found: dict[str, dict[str, Any]], times: dict[str, float]) -> None:
    """One entry for each list: how long it took, the slowest of its statements about tasks, and that one's plan."""
    head, _, _ = PLANS.read_text().partition(MEASURED)
    parts = [f"{head}{MEASURED}\n"]
    for each in LOOKS_AT:
        told = found[each.name]
        parts.append(
            f"### {each.name}\n\n`{_masked(told['address'])}`: {times[each.name]:.0f} ms, of which "
            f"{told['milliseconds']:.1f} ms in {told['statements']} statements about tasks. "
            f"The slowest:\n\n```sql\n{told['sql']}\n```\n\n```\n{told['plan']}\n```\n"
        )
    PLANS.write_text("\n".join(parts))


def _masked(address: str) -> str:
    return re.sub(r"[0-9a-f]{8}-?([0-9a-f]{4}-?){3}[0-9a-f]{12}", "…", address)
