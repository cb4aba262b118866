"""An installation's agents, roles and what else is registered, as one file that people can read, keep and edit.

Shape: `{"mutirao": 1, "<kind>": {"<name>": {"<field>": value}}}`, in YAML (JSON is YAML too).
"""

from __future__ import annotations

import difflib
import json
from collections.abc import Mapping
from typing import Any

import yaml
from django.db import transaction
from django.utils.translation import gettext as _

from foundation.portable import Entry, Kind, NotApplicable, kinds

FORMAT = "mutirao"
VERSION = 1
WIDTH = 110

Document = dict[str, dict[str, Entry]]
"""Kind → name → fields."""


class _Dumper(yaml.SafeDumper):
    """Long texts as people write them."""


def _text(dumper: yaml.SafeDumper, value: str) -> yaml.ScalarNode:
    style = "|" if "\n" in value else None
    return dumper.represent_scalar("tag:yaml.org,2002:str", value, style=style)


_Dumper.add_representer(str, _text)


def read_all(only: list[str] | None = None) -> Document:
    """What there is now, of the named kinds or of all."""
    return {name: kind.read() for name, kind in kinds().items() if not only or name in only}


def write(document: Document) -> str:
    """The document as YAML."""
    whole: dict[str, Any] = {FORMAT: VERSION, **document}
    return yaml.dump(whole, Dumper=_Dumper, sort_keys=False, allow_unicode=True, width=WIDTH)


def parse(text: str) -> Document:
    """The document in a text, its shape checked. Raises NotApplicable, with one sentence that says where."""
    try:
        whole = yaml.safe_load(text)
    except yaml.YAMLError as error:
        mark = getattr(error, "problem_mark", None)
        line = mark.line + 1 if mark else 1
        raise NotApplicable(_("Line %(line)d is not YAML.") % {"line": line}) from error
    if not isinstance(whole, dict) or whole.pop(FORMAT, None) != VERSION:
        raise NotApplicable(_("The file does not begin with “mutirao: 1”."))
    for name, entries in whole.items():
        _check_kind(name, entries)
    return whole


def _check_kind(name: Any, entries: Any) -> None:
    kind = kinds().get(name)
    if kind is None:
        known = ", ".join(kinds())
        raise NotApplicable(_("“%(name)s” is nothing that can be applied: %(known)s.") % {"name": name, "known": known})
    if not isinstance(entries, dict):
        raise NotApplicable(_("“%(name)s” has to be a mapping of names to fields.") % {"name": name})
    for key, entry in entries.items():
        _check_entry(kind, key, entry)


def _check_entry(kind: Kind, key: Any, entry: Any) -> None:
    if not isinstance(key, str) or not isinstance(entry, dict):
        raise NotApplicable(_("“%(name)s” has to be a mapping of names to fields.") % {"name": f"{kind.name}.{key}"})
    for field in entry:
        if field not in kind.fields:
            raise NotApplicable(
                _("“%(path)s” is not a known field; known are: %(known)s.")
                % {"path": f"{kind.name}.{key}.{field}", "known": ", ".join(kind.fields)}
            )
    try:
        json.dumps(entry, allow_nan=False)
    except (TypeError, ValueError, RecursionError) as error:
        # YAML knows dates, sets and more; rows do not.
        path = f"{kind.name}.{key}"
        raise NotApplicable(
            _("“%(name)s” holds a value that is no text, number, truth value, list or mapping.") % {"name": path}
        ) from error


def apply(document: Mapping[str, Mapping[str, Entry]], *, is_rehearsal: bool = False) -> str:
    """Makes everything as the document says, or nothing; what it does not name stays. Gives the differences.

    They are found by doing it and looking, so that a rehearsal (which is undone) meets every refusal that the deed
    would. Shape: a unified diff of the YAML before and after; empty when nothing changes. Raises NotApplicable.
    """
    named = [name for name in kinds() if name in document]
    with transaction.atomic():
        before = write(read_all(named)) if named else ""
        for name in named:
            _apply_kind(kinds()[name], document[name])
        after = write(read_all(named)) if named else ""
        transaction.set_rollback(is_rehearsal)
    lines = difflib.unified_diff(before.splitlines(), after.splitlines(), _("now"), _("then"), lineterm="")
    return "\n".join(lines)


def _apply_kind(kind: Kind, entries: Mapping[str, Entry]) -> None:
    for key, entry in entries.items():
        try:
            kind.apply(key, entry)
        except NotApplicable as error:
            raise NotApplicable(f"{kind.name}.{key}: {error}") from error
