from __future__ import annotations

from unfold.sites import UnfoldAdminSite


class MutiraoAdminSite(UnfoldAdminSite):
    """The one admin site."""
