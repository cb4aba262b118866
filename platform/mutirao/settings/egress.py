"""Where requests to addresses that users give may go (foundation.egress): the public internet over HTTPS, and this."""

from __future__ import annotations

from mutirao.settings.environment import env

# Receivers inside: names (`hooks.internal`, `*.internal`), addresses and networks (`10.1.0.0/16`). Any port of theirs.
EGRESS_ALLOWED_HOSTS: list[str] = env.list("MUTIRAO_EGRESS_ALLOWED_HOSTS", default=[])
# Plain HTTP, and that only to what is listed above. For development.
EGRESS_ALLOW_HTTP: bool = env.bool("MUTIRAO_EGRESS_ALLOW_HTTP", default=False)
# The ports of public receivers.
EGRESS_ALLOWED_PORTS: list[int] = env.list("MUTIRAO_EGRESS_ALLOWED_PORTS", cast=int, default=[443, 8443])
# Certificate authorities of one's own (PEM), beside the public ones.
EGRESS_CA_FILE: str = env("MUTIRAO_EGRESS_CA_FILE", default="")
