"""The tool that knows what time it is."""

from __future__ import annotations

from datetime import UTC, datetime
from zoneinfo import ZoneInfo

from agents.tools.registry import register_tool


@register_tool(effects="none")
def current_time(timezone: str = "UTC") -> str:
    """Tells the current date, weekday and time in a time zone.

    Args:
        timezone: an IANA name, such as UTC or America/Sao_Paulo
    """
    try:
        zone = ZoneInfo(timezone)
    except (KeyError, ValueError, OSError) as error:
        raise ValueError(f"There is no time zone {timezone!r}; use a name such as UTC or Europe/Lisbon.") from error
    return datetime.now(UTC).astimezone(zone).strftime("%A, %Y-%m-%d %H:%M:%S %Z (UTC%z)")
