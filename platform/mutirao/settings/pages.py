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
# Unfold's pages have inline styles and scripts, and Alpine, which evaluates attributes.
ADMIN_CONTENT_SECURITY_POLICY = _STRICT | {
    "script-src": [*_OURS, "'unsafe-inline'", "'unsafe-eval'"],
    "style-src": [*_OURS, "'unsafe-inline'"],
}
