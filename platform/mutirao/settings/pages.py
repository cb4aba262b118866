"""What a browser may load from our pages (django-csp)."""

from __future__ import annotations

_OURS = ["'self'"]
_STRICT = {
    "default-src": ["'none'"],
    "script-src": _OURS,
    "style-src": _OURS,
    "img-src": [*_OURS, "data:"],
    "font-src": _OURS,
    "connect-src": _OURS,
    "form-action": _OURS,
    "base-uri": ["'none'"],
    "frame-ancestors": ["'none'"],
}
CONTENT_SECURITY_POLICY = {"DIRECTIVES": _STRICT}
_WITH_STYLES = _STRICT | {"style-src": [*_OURS, "'unsafe-inline'"]}
# Beginning of the address → policy, where the pages are not our own: Unfold's have inline scripts, and Alpine, which
# evaluates attributes; Swagger's have inline styles.
CONTENT_SECURITY_POLICIES = {
    "/admin/": _WITH_STYLES | {"script-src": [*_OURS, "'unsafe-inline'", "'unsafe-eval'"]},
    "/api/v1/docs": _WITH_STYLES,
}
