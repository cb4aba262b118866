"""Every page there is, and how to get to it in a browser."""

from __future__ import annotations

from playwright.sync_api import Browser, Page

from tests.site import Site

SIZES = {"desktop": (1280, 900), "phone": (360, 780)}
SCHEMES = ("light", "dark")
LANGUAGES = ("en", "pt-BR")
LOOKS = [f"{size}-{scheme}-{language}" for size in SIZES for scheme in SCHEMES for language in LANGUAGES]
ALONE = ("/account/login/", "/account/password/reset/")
PAGES = (
    "/", "/chat/", "/chat/{conversation}/", "/chat/{conversation}/sharing/", "/agents/", "/agents/assistant/",
    "/tasks/", "/tasks/?status=failed",
    "/tasks/{failed}/", "/tasks/{succeeded}/", "/tasks/{running}/cancel/",
    "/tasks/{approval}/", "/tasks/{input}/", "/tasks/{review}/", "/tasks/{review}/review/", "/approvals/",
    "/approvals/{word}/", "/admin/agents_tools/approval/{word}/change/", "/tasks/{failed}/retry/", "/operations/",
    "/schedules/", "/schedules/new/", "/schedules/{schedule}/", "/schedules/{schedule}/edit/",
    "/schedules/{schedule}/delete/", "/webhooks/", "/webhooks/new/", "/webhooks/{endpoint}/",
    "/webhooks/{endpoint}/rotate/", "/webhooks/deliveries/{delivery}/", "/keys/", "/keys/new/",
    "/usage/", "/admin/accounts/quota/", "/admin/accounts/quota/add/", "/admin/accounts/ratelimit/add/",
    "/api-sessions/", "/settings/", "/account/two-factor/", "/admin/", "/admin/agents_tasks/task/",
    "/admin/agents_tasks/task/{failed}/change/",
    "/admin/agents_schedules/schedule/", "/admin/agents_schedules/schedule/{schedule}/change/",
    "/admin/agents_webhooks/delivery/", "/nowhere/", "/api/v1/docs",
)  # fmt: skip


def open_page(browser: Browser, site: Site, size: str, scheme: str, language: str) -> Page:
    """A page in a browser of its own, not signed in."""
    width, height = SIZES[size]
    context = browser.new_context(
        base_url=f"http://127.0.0.1:{site.port}", viewport={"width": width, "height": height},
        color_scheme=scheme, locale=language,  # type: ignore[arg-type]
    )  # fmt: skip
    return context.new_page()


def sign_in(page: Page, name: str, password: str) -> None:
    """Through the form, as a person does."""
    page.goto("/account/login/")
    page.fill("input[name=login]", name)
    page.fill("input[name=password]", password)
    page.press("input[name=password]", "Enter")
    page.wait_for_url("**/")


def names_of(site: Site) -> dict[str, str]:
    """What stands for the names in the addresses: a task in each of some states, a conversation and a
    schedule of Ana's."""
    states = ("failed", "succeeded", "running")
    found = {
        state: site.request("GET", f"/api/v1/tasks?status={state}&page_size=1")[1]["results"][0]["id"]
        for state in states
    }
    for task in site.request("GET", "/api/v1/tasks?status=waiting&status=needs_review")[1]["results"]:
        found[task["waiting_for"] or "review"] = task["id"]
    found["word"] = site.request("GET", "/api/v1/approvals?open=true")[1]["results"][0]["id"]
    site.make_key("ana")
    ana = site.request("GET", "/api/v1/me")[1]["id"]
    conversations = site.request("GET", "/api/v1/conversations?search=parcel")[1]["results"]
    return found | {
        "schedule": site.request("GET", "/api/v1/schedules?search=Morning")[1]["results"][0]["id"],
        "conversation": next(each["id"] for each in conversations if each["owner"] == ana),
        "endpoint": site.request("GET", "/api/v1/webhooks")[1]["results"][0]["id"],
        "delivery": site.request("GET", "/api/v1/webhooks/deliveries?state=failed")[1]["results"][0]["id"],
    }
