from __future__ import annotations

from django.urls import path

from accounts.access_views import RoleDetail, RoleList, UserAccess, UserDetail, UserList
from accounts.views import ApiKeyDetail, ApiKeyList, ApiKeyRotation, Me, ObtainToken, RefreshToken, RevokeToken

urlpatterns = [
    path("auth/token", ObtainToken.as_view(), name="auth-token"),
    path("auth/token/refresh", RefreshToken.as_view(), name="auth-token-refresh"),
    path("auth/token/revoke", RevokeToken.as_view(), name="auth-token-revoke"),
    path("me", Me.as_view(), name="me"),
    path("api-keys", ApiKeyList.as_view(), name="api-keys"),
    path("api-keys/<uuid:pk>", ApiKeyDetail.as_view(), name="api-key"),
    path("api-keys/<uuid:pk>/rotate", ApiKeyRotation.as_view(), name="api-key-rotate"),
    path("users", UserList.as_view(), name="users"),
    path("users/<uuid:pk>", UserDetail.as_view(), name="user"),
    path("users/<uuid:pk>/access", UserAccess.as_view(), name="user-access"),
    path("roles", RoleList.as_view(), name="roles"),
    path("roles/<str:name>", RoleDetail.as_view(), name="role"),
]
