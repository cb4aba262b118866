"""For servers that speak WSGI only. Event streams and `Prefer: wait` want ASGI."""

from __future__ import annotations

import os

from django.core.wsgi import get_wsgi_application

os.environ.setdefault("DJANGO_SETTINGS_MODULE", "mutirao.settings")

application = get_wsgi_application()
