from __future__ import annotations

from django.urls import path

from accounts.key_views import ApiKeyDetail, ApiKeyList, ApiKeyRotation
from accounts.views import Me, ObtainToken, RefreshToken, RevokeToken

urlpatterns = [
    path("auth/token", ObtainToken.as_view(), name="auth-token"),
    path("auth/token/refresh", RefreshToken.as_view(), name="auth-token-refresh"),
    path("auth/token/revoke", RevokeToken.as_view(), name="auth-token-revoke"),
    path("me", Me.as_view(), name="me"),
    path("api-keys", ApiKeyList.as_view(), name="api-keys"),
    path("api-keys/<uuid:pk>", ApiKeyDetail.as_view(), name="api-key"),
    path("api-keys/<uuid:pk>/rotate", ApiKeyRotation.as_view(), name="api-key-rotate"),
]
