"""The passphrase of a backup: from the environment, else from whoever sits at the terminal."""

from __future__ import annotations

import getpass
import os
import sys

from django.core.management.base import CommandError
from django.utils.translation import gettext as _

NAME = "MUTIRAO_BACKUP_PASSPHRASE"
SHORTEST = 12


def new_passphrase() -> str:
    """One to encrypt with; asked for twice. Raises CommandError when there is none, or it is short."""
    chosen = os.environ.get(NAME) or _ask(_("Passphrase: "))
    if len(chosen) < SHORTEST:
        raise CommandError(_("The passphrase is shorter than %(least)d characters.") % {"least": SHORTEST})
    if not os.environ.get(NAME) and _ask(_("The same again: ")) != chosen:
        raise CommandError(_("The two are not the same."))
    return chosen


def known_passphrase() -> str:
    """One to decrypt with. Raises CommandError when there is none."""
    return os.environ.get(NAME) or _ask(_("Passphrase: "))


def _ask(prompt: str) -> str:
    if not sys.stdin.isatty():
        raise CommandError(_("Set %(name)s, or run it at a terminal.") % {"name": NAME})
    return getpass.getpass(prompt)
