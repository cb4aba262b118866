from __future__ import annotations

from django.urls import path

from accounts.access_views import RoleDetail, RoleList, UserAccess, UserDetail, UserList
from accounts.key_views import ApiKeyDetail, ApiKeyList, ApiKeyRotation
from accounts.limit_views import QuotaDetail, QuotaList, RateLimitDetail, RateLimitList
from accounts.privacy_views import MyExport
from accounts.record_views import AuditExport, AuditList
from accounts.views import Me, ObtainToken, RefreshToken, RevokeToken

urlpatterns = [
    path("auth/token", ObtainToken.as_view(), name="auth-token"),
    path("auth/token/refresh", RefreshToken.as_view(), name="auth-token-refresh"),
    path("auth/token/revoke", RevokeToken.as_view(), name="auth-token-revoke"),
    path("me", Me.as_view(), name="me"),
    path("quotas", QuotaList.as_view(), name="quotas"),
    path("quotas/<uuid:pk>", QuotaDetail.as_view(), name="quota"),
    path("rate-limits", RateLimitList.as_view(), name="rate-limits"),
    path("rate-limits/<uuid:pk>", RateLimitDetail.as_view(), name="rate-limit"),
    path("api-keys", ApiKeyList.as_view(), name="api-keys"),
    path("api-keys/<uuid:pk>", ApiKeyDetail.as_view(), name="api-key"),
    path("api-keys/<uuid:pk>/rotate", ApiKeyRotation.as_view(), name="api-key-rotate"),
    path("me/export", MyExport.as_view(), name="me-export"),
    path("audit", AuditList.as_view(), name="audit"),
    path("audit/export", AuditExport.as_view(), name="audit-export"),
    path("users", UserList.as_view(), name="users"),
    path("users/<uuid:pk>", UserDetail.as_view(), name="user"),
    path("users/<uuid:pk>/access", UserAccess.as_view(), name="user-access"),
    path("roles", RoleList.as_view(), name="roles"),
    path("roles/<str:name>", RoleDetail.as_view(), name="role"),
]
