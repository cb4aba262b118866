"""How long pages take when there is much to show."""

from __future__ import annotations

import re
import time
from statistics import median

import httpx

from tests.site import Site

TASKS = 100_000
LOOKS = 5
TOKEN = re.compile(r'name="csrfmiddlewaretoken" value="([^"]+)"')
PAGES = {"overview page at 100,000 tasks": "/", "tasks page at 100,000 tasks": "/tasks/"}


def measure_pages(site: Site) -> dict[str, float]:
    """Mark → milliseconds, median of some looks, for an operator who sees everyone's tasks."""
    seeded = site.manage("seed_day", "--bare", "--tasks", str(TASKS), timeout=600)
    assert seeded.returncode == 0, seeded.stderr
    with httpx.Client(base_url=f"http://127.0.0.1:{site.port}", follow_redirects=True, timeout=60) as client:
        sign_in(client, "ana", seeded.stdout.strip())
        return {mark: median(look(client, address) for _ in range(LOOKS)) for mark, address in PAGES.items()}


def sign_in(client: httpx.Client, name: str, password: str) -> None:
    """Gives the client a session."""
    form = TOKEN.search(client.get("/account/login/").text)
    assert form is not None
    given = {"login": name, "password": password, "csrfmiddlewaretoken": form[1]}
    done = client.post("/account/login/", data=given, headers={"Referer": str(client.base_url)})
    assert done.url.path == "/", done.url


def look(client: httpx.Client, address: str, headers: dict[str, str] | None = None) -> float:
    """Milliseconds until the whole answer is there."""
    began = time.perf_counter()
    response = client.get(address, headers=headers)
    assert response.status_code == 200, (address, response.status_code)
    return (time.perf_counter() - began) * 1000
