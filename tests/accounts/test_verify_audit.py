"""`manage.py verify_audit`, with the database and with exported files."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from django.core.management import CommandError, call_command
from django.db import connection
from django.test.utils import CaptureQueriesContext

from accounts import audit, record_export, seals, verifying
from accounts.models import AuditEvent, AuditSeal
from accounts.record_export import as_csv, as_json_lines

pytestmark = pytest.mark.django_db


def _record(count: int, **options: Any) -> None:
    for number in range(count):
        audit.record(verb="auth.sign_in", actor=audit.Actor(name=f"Ana {number}", request_id="r-12345678"), **options)


def _kept(file: Path) -> Path:
    """A seal outside, of the chain as it is now."""
    made = seals.seal()
    assert made is not None
    file.write_text(f"{seals.line_of(made)}\n")
    return file


def _exported(file: Path, **filters: Any) -> Path:
    verifying.verify()
    lines = as_json_lines(AuditEvent.objects.filter(**filters), filters=filters)
    file.write_bytes(b"".join(lines))
    return file


def test_a_whole_chain_is_told_with_its_numbers(capsys: pytest.CaptureFixture[str]) -> None:
    _record(3)
    seals.seal()
    call_command("verify_audit")
    assert "Whole: 3 events (#1 to #3, 0 of them shredded) and 1 seals" in capsys.readouterr().out
    call_command("verify_audit", json=True)
    told = json.loads(capsys.readouterr().out)
    assert (told["whole"], told["events"], told["seals"], told["broken"]) == (True, 3, 1, None)
    assert told["events_a_second"] > 0


def test_an_empty_chain_is_whole() -> None:
    call_command("verify_audit")


def test_the_first_break_is_told_in_words_and_ends_with_an_error(capsys: pytest.CaptureFixture[str]) -> None:
    _record(4)
    call_command("verify_audit")
    AuditEvent.objects.filter(position=2).update(actor_name="Eva")
    AuditEvent.objects.filter(position=4).delete()
    with pytest.raises(CommandError, match="Event #2 was changed: “actor_name” is not what was written"):
        call_command("verify_audit")
    capsys.readouterr()
    with pytest.raises(CommandError):
        call_command("verify_audit", json=True)
    broken = json.loads(capsys.readouterr().out)["broken"]
    assert (broken["kind"], broken["position"]) == ("changed", 2)


def test_a_seal_from_outside_tells_of_a_missing_end(tmp_path: Path) -> None:
    _record(3)
    file = _kept(tmp_path / "seals.jsonl")
    AuditSeal.objects.all().delete()
    call_command("verify_audit", seals=file)
    AuditEvent.objects.filter(position=3).delete()
    call_command("verify_audit")
    with pytest.raises(CommandError, match="a seal knows of event #3, and the chain ends with #2"):
        call_command("verify_audit", seals=file)


@pytest.mark.parametrize("text", [b"{}", b"nonsense", b'{"position": "x"}', b"[]", b"\xff", b"[" * 100_000])
def test_a_file_that_holds_no_seals_is_refused(tmp_path: Path, text: bytes) -> None:
    file = tmp_path / "seals.jsonl"
    file.write_bytes(text)
    with pytest.raises(CommandError, match="Line 1 is no seal"):
        call_command("verify_audit", seals=file)
    with pytest.raises(CommandError, match="cannot be read"):
        call_command("verify_audit", seals=tmp_path / "nothing")


def test_events_are_read_in_batches(monkeypatch: pytest.MonkeyPatch) -> None:
    _record(7)
    verifying.verify()
    monkeypatch.setattr(verifying, "BATCH", 2)
    with CaptureQueriesContext(
        connection,
    ) as asked:
        assert verifying.verify().events == 7
    assert sum("LIMIT 2" in query["sql"] for query in asked) == 5


def test_an_export_verifies_without_the_database(tmp_path: Path) -> None:
    _record(5)
    kept = _kept(tmp_path / "seals.jsonl")
    file = _exported(tmp_path / "audit.jsonl")
    AuditEvent.objects.all().delete()
    with CaptureQueriesContext(connection) as asked:
        call_command("verify_audit", export=file, seals=kept)
    assert len(asked) == 0


def test_a_filtered_export_verifies_though_it_has_gaps(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    _record(2)
    _record(1, outcome="denied")
    _record(2)
    file = _exported(tmp_path / "audit.jsonl", outcome="done")
    call_command("verify_audit", export=file)
    assert "4 events (#1 to #5" in capsys.readouterr().out


def _lines(file: Path) -> list[str]:
    return file.read_text().splitlines(keepends=True)


@pytest.mark.parametrize(
    ("edit", "sentence"),
    [
        (lambda lines: [lines[0], lines[1].replace("Ana 1", "Eva 1"), *lines[2:]], "Event #2 was changed"),
        (lambda lines: [lines[0], *lines[2:]], "The export was changed after it was made"),
        (lambda lines: [lines[1], lines[0], *lines[2:]], "Event #1 stands in a wrong place"),
        (lambda lines: lines[:-1], "The last line of the export is missing"),
        (lambda lines: [*lines[:-1], lines[-1].replace('"count":4', '"count":3')], "is not signed"),
        (lambda lines: [*lines, lines[0]], "Something follows"),
        (lambda lines: ["nonsense\n", *lines], "Line 1 is no audit event"),
        (lambda lines: ["{}\n", *lines], "Line 1 is no audit event"),
        (
            lambda lines: [lines[0].replace('"created_at":"2', '"created_at":"99-99-992'), *lines[1:]],
            "#1 was changed",
        ),
        (lambda lines: [lines[0].replace('"address":null', '"address":"nowhere"'), *lines[1:]], "#1 was changed"),
        (lambda lines: [lines[0].replace('"digests":{', '"digests":[],"x":{'), *lines[1:]], "#1 was changed"),
    ],
)
def test_whatever_is_done_to_an_export_is_found(tmp_path: Path, edit: Any, sentence: str) -> None:
    _record(4)
    file = _exported(tmp_path / "audit.jsonl")
    call_command("verify_audit", export=file)
    file.write_text("".join(edit(_lines(file))))
    with pytest.raises(CommandError, match=sentence):
        call_command("verify_audit", export=file)


def test_an_export_is_bounded(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    _record(5)
    monkeypatch.setattr(record_export, "MOST_EXPORTED", 3)
    monkeypatch.setattr(record_export, "BATCH", 2)
    file = _exported(tmp_path / "audit.jsonl")
    assert [json.loads(line).get("position") for line in _lines(file)] == [1, 2, 3, None]
    call_command("verify_audit", export=file)


def test_no_cell_of_a_table_is_a_formula() -> None:
    for name in ("=1+1", "+1", "-1", "@x", "\tx", "plain"):
        audit.record(verb="auth.sign_in", actor=audit.Actor(name=name))
    verifying.verify()
    lines = b"".join(as_csv(AuditEvent.objects.all())).decode().splitlines()
    assert [line.split(",")[1] for line in lines[1:]] == ["'=1+1", "'+1", "'-1", "'@x", "'\tx", "plain"]
