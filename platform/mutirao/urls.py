from __future__ import annotations

from django.contrib import admin
from django.urls import include, path

from mutirao.pages import errors
from mutirao.pages.account.closed import closed_urls

urlpatterns = [
    path("", include("mutirao.pages.urls")),
    *closed_urls,
    path("account/", include("allauth.account.urls")),
    path("account/two-factor/", include("allauth.mfa.urls")),
    path("account/sessions/", include("allauth.usersessions.urls")),
    path("", include("telemetry.urls")),
    path("api/v1/", include("agents.api.urls")),
    path("admin/", admin.site.urls),
]

handler400 = errors.bad_request
handler403 = errors.permission_denied
handler404 = errors.not_found
handler429 = errors.too_many  # allauth's name
handler500 = errors.server_error
