"""Mail: one address says how it is sent (`smtp+tls://name:password@host:587`), the console when there is none."""

from __future__ import annotations

from typing import Any

from mutirao.settings.environment import env

_mail: dict[str, Any] = dict(env.email_url("EMAIL_URL", default="consolemail://"))

EMAIL_BACKEND: str = _mail["EMAIL_BACKEND"]
EMAIL_HOST: str = _mail.get("EMAIL_HOST") or "localhost"
EMAIL_PORT: int = _mail.get("EMAIL_PORT") or 25
EMAIL_HOST_USER: str = _mail.get("EMAIL_HOST_USER") or ""
EMAIL_HOST_PASSWORD: str = _mail.get("EMAIL_HOST_PASSWORD") or ""
EMAIL_USE_TLS: bool = bool(_mail.get("EMAIL_USE_TLS"))
EMAIL_USE_SSL: bool = bool(_mail.get("EMAIL_USE_SSL"))
EMAIL_FILE_PATH: str | None = _mail.get("EMAIL_FILE_PATH") or None
EMAIL_TIMEOUT = 10
DEFAULT_FROM_EMAIL: str = env("MUTIRAO_MAIL_FROM", default="Mutirão <mutirao@localhost>")
