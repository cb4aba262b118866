from __future__ import annotations

from django.urls import path

from agents.gateway.views import (
    CredentialDetail,
    CredentialList,
    DeploymentDetail,
    DeploymentList,
    DeploymentTry,
    ModelCallList,
    PriceList,
    RouteDetail,
    RouteList,
    TaskCallList,
)

urlpatterns = [
    path("models/credentials", CredentialList.as_view(), name="model-credentials"),
    path("models/credentials/<uuid:pk>", CredentialDetail.as_view(), name="model-credential"),
    path("models/deployments", DeploymentList.as_view(), name="model-deployments"),
    path("models/deployments/<uuid:pk>", DeploymentDetail.as_view(), name="model-deployment"),
    path("models/deployments/<uuid:pk>/try", DeploymentTry.as_view(), name="model-deployment-try"),
    path("models/routes", RouteList.as_view(), name="model-routes"),
    path("models/routes/<uuid:pk>", RouteDetail.as_view(), name="model-route"),
    path("models/prices", PriceList.as_view(), name="model-prices"),
    path("model-calls", ModelCallList.as_view(), name="model-calls"),
    path("tasks/<uuid:pk>/calls", TaskCallList.as_view(), name="task-calls"),
]
