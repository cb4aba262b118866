"""What the roof adds to the admin: the waterfall on the task page, which no room below could put together."""

from __future__ import annotations

from django.utils.translation import gettext_lazy as _

from agents.tasks.panels import Panel, register_panel
from mutirao.stories import waterfall_of

register_panel(Panel(_("Where the time went"), "telemetry/panel.html", waterfall_of))
