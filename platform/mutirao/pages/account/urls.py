from __future__ import annotations

from django.urls import path

from mutirao.pages.account import data, keys, preferences

urlpatterns = [
    path("keys/", keys.key_list, name="keys"),
    path("keys/new/", keys.key_new, name="key-new"),
    path("keys/<uuid:pk>/rotate/", keys.key_rotate, name="key-rotate"),
    path("keys/<uuid:pk>/revoke/", keys.key_revoke, name="key-revoke"),
    path("settings/data/", data.download_my_data, name="my-data"),
    path("settings/", preferences.settings_page, name="settings"),
]
