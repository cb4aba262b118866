"""The admin's looks (Unfold)."""

from __future__ import annotations

from django.utils.translation import gettext_lazy as _

UNFOLD = {
    "SITE_TITLE": "Mutirão",
    "SITE_HEADER": "Mutirão",
    "SITE_SUBHEADER": _("agents in production"),
    "SITE_SYMBOL": "diversity_3",
    "SHOW_HISTORY": False,
    "SHOW_VIEW_ON_SITE": False,
}
