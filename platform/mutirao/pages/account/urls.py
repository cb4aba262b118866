from __future__ import annotations

from django.urls import path

from mutirao.pages.account import data, keys, preferences, sessions

urlpatterns = [
    path("keys/", keys.key_list, name="keys"),
    path("keys/new/", keys.key_new, name="key-new"),
    path("keys/<uuid:pk>/rotate/", keys.key_rotate, name="key-rotate"),
    path("keys/<uuid:pk>/revoke/", keys.key_revoke, name="key-revoke"),
    path("settings/data/", data.download_my_data, name="my-data"),
    path("api-sessions/", sessions.api_session_list, name="api-sessions"),
    path("api-sessions/<uuid:pk>/end/", sessions.api_session_end, name="api-session-end"),
    path("settings/", preferences.settings_page, name="settings"),
]
