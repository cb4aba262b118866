from __future__ import annotations

from django.urls import path

from agents.cache.views import (
    CacheEntryDetail,
    CacheEntryList,
    CacheEviction,
    CacheStatistics,
    CalibrationList,
    CalibrationStart,
)

urlpatterns = [
    path("cache/entries", CacheEntryList.as_view(), name="cache-entries"),
    path("cache/entries/<uuid:pk>", CacheEntryDetail.as_view(), name="cache-entry"),
    path("cache/evictions", CacheEviction.as_view(), name="cache-evictions"),
    path("cache/statistics", CacheStatistics.as_view(), name="cache-statistics"),
    path("cache/calibrations", CalibrationList.as_view(), name="cache-calibrations"),
    path("cache/calibrations/<uuid:pk>/start", CalibrationStart.as_view(), name="cache-calibration-start"),
]
