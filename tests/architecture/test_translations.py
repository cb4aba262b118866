"""Every text that a person reads is there in Brazilian Portuguese."""

from __future__ import annotations

import ast
import re
from collections.abc import Iterator
from gettext import GNUTranslations
from pathlib import Path

import pytest

pytestmark = pytest.mark.embedded

ROOT = Path(__file__).resolve().parents[2]
CATALOG = ROOT / "locale" / "pt_BR" / "LC_MESSAGES" / "django.mo"
ROOMS = ("accounts", "agents", "platform", "telemetry")
MARKERS = {"_", "gettext", "gettext_lazy", "gettext_noop", "ngettext", "ngettext_lazy"}
IN_TEMPLATES = re.compile(r"""{%\s*(?:translate|trans)\s+(?:"([^"]+)"|'([^']+)')""")


@pytest.fixture(scope="module")
def translations() -> GNUTranslations:
    with CATALOG.open("rb") as file:
        return GNUTranslations(file)


def _texts_in_code() -> Iterator[str]:
    for room in ROOMS:
        for file in (ROOT / room).rglob("*.py"):
            if "migrations" not in file.parts:
                yield from _texts_in(ast.parse(file.read_text()))


def _texts_in(tree: ast.AST) -> Iterator[str]:
    for node in ast.walk(tree):
        if isinstance(node, ast.Call) and isinstance(node.func, ast.Name) and node.func.id in MARKERS and node.args:
            first = node.args[0]
            if isinstance(first, ast.Constant) and isinstance(first.value, str):
                yield first.value


def _texts_in_templates() -> Iterator[str]:
    for file in (ROOT / "templates").rglob("*.html"):
        for double, single in IN_TEMPLATES.findall(file.read_text()):
            yield double or single


def test_every_text_of_code_and_templates_is_translated(translations: GNUTranslations) -> None:
    texts = {*_texts_in_code(), *_texts_in_templates()}
    known: dict[object, str] = translations._catalog  # type: ignore[attr-defined]
    missing = sorted(text for text in texts if not known.get(text) and not known.get((text, 0)))
    assert len(texts) > 200
    assert missing == [], "make messages, translate, and compile"


def test_the_catalogue_that_is_used_is_the_one_that_is_edited(translations: GNUTranslations) -> None:
    """The compiled file is in the repository, so that a clone needs no gettext; it may not lag behind."""
    source = CATALOG.with_suffix(".po").read_text()
    entries = re.findall(r'^(?:msgctxt "(.+)"\n)?msgid "(.+)"\nmsgstr "(.+)"$', source, re.MULTILINE)
    assert len(entries) > 150
    for context, text, translated in entries:
        plain = _plain(text)
        found = translations.pgettext(_plain(context), plain) if context else translations.gettext(plain)
        assert found == _plain(translated)


def _plain(quoted: str) -> str:
    return quoted.replace('\\"', '"').replace("\\n", "\n")
