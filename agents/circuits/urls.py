from __future__ import annotations

from django.urls import path

from agents.circuits.views import CircuitChangeList, CircuitDetail, CircuitForce, CircuitList, CircuitRelease

urlpatterns = [
    path("circuits", CircuitList.as_view(), name="circuits"),
    # Names of models have slashes, such as model:openrouter:meta-llama/llama-3, so the bare key comes last.
    path("circuits/<path:key>/force", CircuitForce.as_view(), name="circuit-force"),
    path("circuits/<path:key>/release", CircuitRelease.as_view(), name="circuit-release"),
    path("circuits/<path:key>/changes", CircuitChangeList.as_view(), name="circuit-changes"),
    path("circuits/<path:key>", CircuitDetail.as_view(), name="circuit"),
]
