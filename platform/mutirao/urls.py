from __future__ import annotations

from django.contrib import admin
from django.urls import include, path
from django.views.generic import RedirectView

from foundation.problems import bad_request, not_found, permission_denied, server_error

urlpatterns = [
    path("", RedirectView.as_view(pattern_name="admin:index"), name="home"),
    path("", include("telemetry.urls")),
    path("api/v1/", include("agents.api.urls")),
    path("admin/", admin.site.urls),
]

handler400 = bad_request
handler403 = permission_denied
handler404 = not_found
handler500 = server_error
