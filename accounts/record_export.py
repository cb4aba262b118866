"""Audit events as a file: JSON lines that can be verified without the database, or CSV for people."""

from __future__ import annotations

import csv
import io
import json
import time
from collections.abc import Iterable, Iterator, Mapping
from hashlib import sha256
from pathlib import Path
from typing import Any

from django.db.models import QuerySet
from django.http import StreamingHttpResponse
from django.utils import timezone
from django.utils.translation import gettext as _

from accounts import audit, chain, links
from accounts.links import Link
from accounts.models import AuditEvent, AuditSeal
from accounts.verifying import Verification, take_seals
from accounts.walking import Break, Walk
from foundation.downloads import download
from foundation.encryption import is_signed, sign

# More is asked for in parts, by date.
MOST_EXPORTED = 100_000
BATCH = 500
FORMAT = "mutirao-audit"
FORMATS = {"jsonl": "application/x-ndjson", "csv": "text/csv; charset=utf-8"}
CSV_COLUMNS = (
    "created_at", "actor_name", "verb", "deed", "outcome", "subject_type", "subject_name", "changes", "address",
    "request_id", "actor_id", "subject_id", "position", "id",
)  # fmt: skip
# What spreadsheets take for a formula.
FORMULAS = ("=", "+", "-", "@", "\t", "\r")


class BadExport(Exception):
    """The file is no export of audit events; the message is a sentence."""


def as_json_lines(events: QuerySet[AuditEvent], *, filters: Mapping[str, Any]) -> Iterator[bytes]:
    """The events in order of their positions, a line each with the hash before it, and a signed last line that says how
    many there were. At most MOST_EXPORTED, the oldest; those without a place are left out.
    """
    digest, count = sha256(), 0
    for batch in _in_batches(events):
        before = _hashes_before(batch)
        for link in batch:
            line = links.canonical({**link, "previous": before.get(link["position"] - 1, "")}).encode() + b"\n"
            digest.update(line)
            count += 1
            yield line
    facts = {
        "format": FORMAT, "count": count, "sha256": digest.hexdigest(), "filters": filters,
        "made_at": timezone.now().isoformat(),
    }  # fmt: skip
    signature = sign(links.canonical(facts), purpose=links.EXPORT)
    yield links.canonical({**facts, "signature": signature}).encode() + b"\n"


def as_csv(events: QuerySet[AuditEvent]) -> Iterator[bytes]:
    """The same events as a table, with a head line; cells that a spreadsheet would run are made text."""
    yield _csv_line(CSV_COLUMNS)
    for batch in _in_batches(events):
        for link in batch:
            row = {**link, "deed": audit.label_of(link["verb"]), "changes": links.canonical(link["changes"])}
            yield _csv_line([_harmless(row[name]) for name in CSV_COLUMNS])


def verify_export(file: Path, seals: Iterable[Link] = ()) -> Verification:
    """Verifies an exported file: every event by its digests and its hash, neighbours by each other, the whole by its
    last line; and against the seals that are given. Raises BadExport, OSError.
    """
    begun = time.perf_counter()
    known, walk = [*seals], Walk(checks_proofs=False)
    broken = take_seals(walk, known, since=0)
    first, digest, is_over = 0, sha256(), False
    for raw, row in _read(file):
        if is_over:
            raise BadExport(_("Something follows the last line of the export."))
        if "format" in row:
            is_over, broken = True, broken or _wrong_end(row, walk.events, digest.hexdigest())
            continue
        digest.update(raw)
        first = first or row["position"]
        broken = broken or _take(walk, row)
    if not is_over:
        broken = broken or Break("truncated", _("The last line of the export is missing."))
    return Verification(
        walk.events, first, walk.position, walk.shredded, len(known), time.perf_counter() - begun, broken
    )


def _take(walk: Walk, row: Link) -> Break | None:
    """Between two that are no neighbours others may have been left out, for an export is filtered."""
    if row["position"] > walk.position + 1 or not walk.events:
        walk.position, walk.hash = row["position"] - 1, str(row["previous"])
    return walk.take(row)


def _wrong_end(last: Mapping[str, Any], count: int, digest: str) -> Break | None:
    """What is wrong with the last line, or with what stands before it."""
    facts = {name: value for name, value in last.items() if name != "signature"}
    if not is_signed(links.canonical(facts), str(last.get("signature")), purpose=links.EXPORT):
        return Break("forged", _("The last line of the export is not signed with a key of this installation."))
    if (last.get("count"), last.get("sha256")) != (count, digest):
        return Break("changed", _("The export was changed after it was made: lines are missing, added or different."))
    return None


def _read(file: Path) -> Iterator[tuple[bytes, dict[str, Any]]]:
    with file.open("rb") as lines:
        for number, raw in enumerate(lines, start=1):
            try:
                yield raw, _row(json.loads(raw))
            except (ValueError, TypeError, KeyError, RecursionError) as error:
                raise BadExport(_("Line %(number)d is no audit event.") % {"number": number}) from error


def _row(found: dict[str, Any]) -> dict[str, Any]:
    """An event or the last line, as it was read. Raises KeyError, TypeError, ValueError for neither."""
    if "format" in found:
        return found
    event = {name: found[name] for name in (*links.COLUMNS, "previous")}
    return {**event, "position": int(event["position"])}


def _in_batches(events: QuerySet[AuditEvent]) -> Iterator[list[Link]]:
    """No statement is open in between: whoever reads slowly holds nothing up."""
    position, left = 0, MOST_EXPORTED
    while left:
        rows = events.filter(position__gt=position).order_by("position").values(*links.COLUMNS)
        batch: list[Link] = [*rows[: min(BATCH, left)]]
        if not batch:
            return
        yield batch
        position, left = batch[-1]["position"], left - len(batch)


def _hashes_before(batch: Iterable[Link]) -> dict[int, str]:
    """By position. Before the first event there is none; before the first that is left, a seal has it."""
    wanted = [link["position"] - 1 for link in batch]
    sealed = AuditSeal.objects.filter(position__in=wanted, reason=AuditSeal.Reason.RETENTION)
    rows = AuditEvent.objects.filter(position__in=wanted)
    found = [*sealed.values_list("position", "hash"), *rows.values_list("position", "hash")]
    return {position: last_hash for position, last_hash in found if position is not None}


def _csv_line(cells: Iterable[Any]) -> bytes:
    text = io.StringIO()
    csv.writer(text).writerow(cells)
    return text.getvalue().encode()


def _harmless(value: Any) -> str:
    """As text that no spreadsheet takes for a formula."""
    text = "" if value is None else str(links.plain(value))
    return f"'{text}" if text.startswith(FORMULAS) else text


def export_events(
    *, events: QuerySet[AuditEvent], form: str, filters: Mapping[str, Any], request: Any
) -> StreamingHttpResponse:
    """The answer that downloads these events as `jsonl` or `csv`, with its own audit event."""
    audit.record(verb="audit.export", actor=audit.Actor.of(request), changes={"format": form, "filters": dict(filters)})
    chain.chain_all()
    lines = as_csv(events) if form == "csv" else as_json_lines(events, filters=filters)
    return download(request, lines, name=f"mutirao-audit.{form}", content_type=FORMATS[form])
