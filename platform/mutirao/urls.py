from __future__ import annotations

from django.contrib import admin
from django.urls import include, path

from foundation.problems import bad_request, not_found, permission_denied, server_error

urlpatterns = [
    path("", include("mutirao.pages.urls")),
    path("account/", include("allauth.account.urls")),
    path("account/two-factor/", include("allauth.mfa.urls")),
    path("", include("telemetry.urls")),
    path("api/v1/", include("agents.api.urls")),
    path("admin/", admin.site.urls),
]

handler400 = bad_request
handler403 = permission_denied
handler404 = not_found
handler500 = server_error
