"""A walk over a page with the Tab key alone: what is reached, in which order, and whether one sees where one is."""

from __future__ import annotations

import time
from dataclasses import dataclass, field
from typing import Any

from playwright.sync_api import Page

# How long an outline may take to appear (Unfold fades some in).
FADE_SECONDS = 0.5
# Day, month, year, hour, minute, second, half of the day, the calendar, and whatever a browser adds.
MOST_PARTS = 12

# Numbers everything that a key should reach, remembers how it looks, and puts the focus before the first of it. Of
# radio buttons only one is reached by Tab, the rest by arrows; what is closed, hidden or switched off, not at all.
PREPARE = r"""() => {
  const focusable = "a[href], button, input:not([type=hidden]), select, textarea, summary, iframe, [tabindex]";
  const byMouse = "[onclick], [x-on\\:click], [data-copy], [hx-get][hx-trigger*=click], [hx-post]:not(form)";
  const isShown = element => element.checkVisibility({visibilityProperty: true}) && element.getClientRects().length > 0
    && !element.closest("[inert]");
  const isReachable = element => {
    if (element.disabled || element.tabIndex < 0 || !isShown(element)) return false;
    if (element.type !== "radio") return true;
    const group = [...document.getElementsByName(element.name)];
    return (group.find(each => each.checked) ?? group[0]) === element;
  };
  const look = element => {
    const style = getComputedStyle(element);
    return [style.outlineStyle, style.outlineWidth, style.outlineColor, style.boxShadow, style.borderColor,
      style.backgroundColor, style.top].join();
  };
  window.walkLook = element => [element, element.closest("label")].filter(Boolean).map(look).join();
  document.activeElement?.blur();
  const wanted = [...document.querySelectorAll(focusable)].filter(isReachable);
  window.walkPlan = new Map(wanted.map((element, number) => [element, {number, look: window.walkLook(element)}]));
  document.body.tabIndex = -1;
  document.body.focus();
  document.body.removeAttribute("tabindex");
  return {
    wanted: wanted.map(element => element.outerHTML.slice(0, 160)),
    byMouse: [...document.querySelectorAll(byMouse)]
      .filter(each => isShown(each) && each.tabIndex < 0 && !each.closest(focusable) && !each.querySelector(focusable))
      .map(each => each.outerHTML.slice(0, 160)),
  };
}"""
LOOK = r"""() => {
  const element = document.activeElement;
  if (!element || element === document.body) return null;
  const plan = window.walkPlan.get(element), box = element.getBoundingClientRect();
  return {
    number: plan?.number ?? -1,
    html: element.outerHTML.slice(0, 160),
    hasParts: ["date", "datetime-local", "month", "time", "week"].includes(element.type),
    isSeen: plan?.look !== window.walkLook(element),
    isInside: box.bottom > 0 && box.top < innerHeight && box.right > 0 && box.left < innerWidth,
  };
}"""


@dataclass
class Walk:
    """What a walk has found; `faults` is empty when everything was reached once, in order, and visibly."""

    steps: int
    faults: list[str] = field(default_factory=list)


def walk(page: Page) -> Walk:
    """From before the first element until Tab leaves the page or begins anew. A page that keeps it is a fault."""
    prepared = page.evaluate(PREPARE)
    wanted: list[str] = prepared["wanted"]
    faults = [f"by mouse alone: {html}" for html in prepared["byMouse"]]
    reached: list[int] = []
    for _ in range(len(wanted) + 2):
        now = _next(page, reached)
        if now is None or (reached and now["number"] == reached[0]):
            break
        reached.append(now["number"])
        faults += _faults_of(page, now)
    else:
        faults.append("it does not come to an end")
    if reached != [*range(len(wanted))]:
        missed = [html for number, html in enumerate(wanted) if number not in reached]
        faults.append(f"reached in the order {reached}; never: {missed}")
    return Walk(len(reached), faults)


def _next(page: Page, reached: list[int]) -> dict[str, Any] | None:
    """What Tab leads to: None when that is the page's end. The parts of a date (day, month, …) are one control."""
    for _ in range(MOST_PARTS):
        page.keyboard.press("Tab")
        now: dict[str, Any] | None = page.evaluate(LOOK)
        if now is None or not now["hasParts"] or not reached or now["number"] != reached[-1]:
            break
    return now


def _faults_of(page: Page, now: dict[str, Any]) -> list[str]:
    deadline = time.monotonic() + FADE_SECONDS
    while not now["isSeen"] and time.monotonic() < deadline:
        now = page.evaluate(LOOK) or now
    faults = []
    if not now["isSeen"]:
        faults.append(f"the focus is not to be seen: {now['html']}")
    if not now["isInside"]:
        faults.append(f"outside the window: {now['html']}")
    return faults
