"""Says what the semantic cache would serve on labelled pairs. Needs no broker, no Redis and no network, and a database
only to calibrate an agent or to ask a judge, whose calls go through the gateway and are in its ledger.
"""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from django.core.management.base import BaseCommand, CommandError, CommandParser
from django.utils.translation import gettext as _

from accounts.audit import SYSTEM
from agents.cache.calibrating import calibrate, usable_pairs
from agents.cache.learning import MOST_TRIALS
from agents.cache.models import Calibration
from agents.cache.semantic.evaluation import Scored, UnusablePairs, read_pairs, score_pairs, summary
from agents.cache.semantic.judging import chat_judge
from agents.definitions.models import Agent
from agents.gateway.exceptions import GatewayError


class Command(BaseCommand):
    help = (
        "Reports which of the labelled pairs in a file the semantic cache would serve, and how often it would be wrong."
    )
    requires_system_checks = []

    def add_arguments(self, parser: CommandParser) -> None:
        parser.add_argument("--pairs", required=True, type=Path, help="JSON lines with a, b and same_answer.")
        parser.add_argument("--json", action="store_true", help="Print JSON.")
        parser.add_argument("--folds", type=int, default=5, help="For pairs that were learned from.")
        parser.add_argument("--seeds", type=int, default=5, help="How many times the folds are drawn.")
        parser.add_argument("--judge", metavar="MODEL", help="A model or route that is asked about near misses.")
        parser.add_argument(
            "--error-target", type=float, help="Also find the threshold that keeps this error among hits."
        )
        parser.add_argument(
            "--agent", metavar="SLUG", help="Calibrate this agent by the pairs; they replace those of the last time."
        )

    def handle(self, *args: object, **options: Any) -> None:
        if options["folds"] < 2 or options["seeds"] < 1:
            raise CommandError(_("There have to be at least two folds and one seed."))
        if options["error_target"] is not None and not 0 < options["error_target"] < 1:
            raise CommandError(_("The error target lies between 0 and 1."))
        agent = _agent(options["agent"]) if options["agent"] else None
        try:
            judge = chat_judge(options["judge"]) if options["judge"] else None
            scored = score_pairs(
                read_pairs(options["pairs"]), folds=options["folds"], seeds=options["seeds"], judge=judge
            )
        except (UnusablePairs, GatewayError) as error:
            raise CommandError(str(error)) from None
        found = summary(scored, judged=judge is not None, error_target=options["error_target"])
        found |= {"folds": options["folds"], "seeds": options["seeds"]}
        if agent is not None:
            self._warn_of_many(scored)
            done = calibrate(agent=agent, scored=scored, actor=SYSTEM, error_target=options["error_target"])
            found["agent"] = {row.kind: _as_json(row) for row in done}
        self.stdout.write(json.dumps(found, indent=1) if options["json"] else as_table(found))

    def _warn_of_many(self, scored: Sequence[Scored]) -> None:
        for kind, pairs in sorted(Counter(each.kind for each in usable_pairs(scored)).items()):
            if pairs > MOST_TRIALS:
                said = {"kind": Calibration.Kind(kind).label, "pairs": pairs, "most": MOST_TRIALS}
                self.stderr.write(
                    _("%(kind)s: of %(pairs)d usable pairs the last %(most)d count for the agent.") % said
                )


def _agent(slug: str) -> Agent:
    found = Agent.objects.select_related("current_version").filter(slug=slug).first()
    if found is None:
        raise CommandError(_("There is no agent “%(slug)s”.") % {"slug": slug})
    return found


def _as_json(row: Calibration) -> dict[str, Any]:
    names = ("threshold", "error_target", "bound", "trials", "errors", "is_off", "off_because")
    return {name: getattr(row, name) for name in names}


def as_table(found: dict[str, Any]) -> str:
    """What a person reads."""
    lines = [
        _("%(pairs)s pairs, one answer serves %(same)s of them; %(crossed)s were learned from and scored out of fold.")
        % {"pairs": found["pairs"], "same": found["same_answer"], "crossed": found["cross_fitted"]},
        "",
        _heading(),
    ]
    lines += [_setting_line(name, each) for name, each in found["settings"].items()]
    names = list(found["settings"])
    lines += ["", _columns((_("category"), -30), (_("pairs"), 7), (_("same"), 7), *((name, 12) for name in names))]
    for category, each in found["categories"].items():
        served = "".join(f"{_percent(each['served'][name]):>12}" for name in names)
        lines.append(f"{category:<30}{each['pairs']:>7}{each['same_answer']:>7}{served}")
    lines += ["", _columns((_("threshold"), -12), (_("true served"), 14), (_("traps served"), 15))]
    lines += [f"{line:<12}{_percent(true):>14}{_percent(traps):>15}" for line, true, traps in found["curve"][::5]]
    if "calibrated" in found:
        lines += ["", _("Threshold for an error of %(target)s among hits: %(threshold)s") % {
            "target": found["calibrated"]["error_target"], "threshold": found["calibrated"]["threshold"]}]  # fmt: skip
    for kind, row in found.get("agent", {}).items():
        lines += ["", f"{Calibration.Kind(kind).label}: {_standing(row)}"]
    return "\n".join(lines)


def _standing(row: dict[str, Any]) -> str:
    if row["is_off"]:
        return _("turned off. %(why)s") % {"why": row["off_because"]}
    said = _(
        "threshold %(threshold).4f; at most %(bound).2f %% of hits are wrong; of %(trials)d that were asked "
        "again %(errors)d were."
    )
    return said % (row | {"bound": 100 * row["bound"]})


def _heading() -> str:
    interval = (_("95 %"), 16)
    true, traps = (_("true served"), 14), (_("traps served"), 15)
    return _columns((_("setting"), -12), true, interval, traps, interval, (_("precision"), 12))


def _columns(*cells: tuple[str, int]) -> str:
    """Texts in so many places each, on the right; on the left with a negative number."""
    return "".join(text.ljust(-width) if width < 0 else text.rjust(width) for text, width in cells)


def _setting_line(name: str, each: dict[str, Any]) -> str:
    intervals = [" – ".join(_percent(edge) for edge in each[f"{side}_served_interval"]) for side in ("true", "traps")]
    return (
        f"{name:<12}{_percent(each['true_served']):>14}{intervals[0]:>16}"
        f"{_percent(each['traps_served']):>15}{intervals[1]:>16}{_percent(each['precision']):>12}"
    )


def _percent(share: float | None) -> str:
    return "–" if share is None else f"{100 * share:.1f} %"
