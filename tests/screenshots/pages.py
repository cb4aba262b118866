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
    "/usage/", "/cache/", "/admin/accounts/quota/", "/admin/accounts/quota/add/", "/admin/accounts/ratelimit/add/",
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


def access_pages(site: Site) -> dict[str, str]:
    """Addresses of the admin about people and what they may, by what they show; makes what is to be seen there."""
    ana = next(user for user in site.request("GET", "/api/v1/users")[1]["results"] if user["username"] == "ana")
    for quota in (
        {"subject": "user:ana", "unit": "cost", "period": "month", "amount": "25"},
        {"subject": "role:member", "unit": "tokens", "period": "day", "amount": "200000", "each_member": True},
        {"subject": "everybody", "unit": "cost", "period": "month", "amount": "500"},
    ):
        site.request("POST", "/api/v1/quotas", quota)
    site.request("POST", "/api/v1/rate-limits", {"subject": "agent:assistant", "rate": "60/m"})
    site.request("POST", "/api/v1/agents/assistant/grants", {"user": "ana", "verb": "change"})
    event = next(
        event["id"] for event in site.request("GET", "/api/v1/audit")[1]["results"] if event["verb"] == "grant.give"
    )
    asked = "from accounts.models import Role; print(Role.objects.get(name='operator').pk)"
    role = site.manage("shell", "--no-imports", "-c", asked).stdout.split()[-1]
    agent = site.request("GET", "/api/v1/agents/assistant")[1]["id"]
    return {
        "users": "/admin/accounts/user/",
        "user": f"/admin/accounts/user/{ana['id']}/change/",
        "why": f"/admin/accounts/user/{ana['id']}/access/",
        "role": f"/admin/accounts/role/{role}/change/",
        "new-key": "/admin/accounts/apikey/add/",
        "quotas": "/admin/accounts/quota/",
        "new-quota": "/admin/accounts/quota/add/",
        "grants": f"/admin/agents_definitions/agent/{agent}/sharing/",
        "audit": "/admin/accounts/auditevent/",
        "event": f"/admin/accounts/auditevent/{event}/change/",
    }
