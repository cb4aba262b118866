from __future__ import annotations

from django.urls import path

from agents.schedules.views import (
    ScheduleDetail,
    ScheduledRunList,
    ScheduleList,
    SchedulePause,
    ScheduleResume,
    ScheduleRun,
)

urlpatterns = [
    path("schedules", ScheduleList.as_view(), name="schedules"),
    path("schedules/<uuid:pk>", ScheduleDetail.as_view(), name="schedule"),
    path("schedules/<uuid:pk>/pause", SchedulePause.as_view(), name="schedule-pause"),
    path("schedules/<uuid:pk>/resume", ScheduleResume.as_view(), name="schedule-resume"),
    path("schedules/<uuid:pk>/run", ScheduleRun.as_view(), name="schedule-run"),
    path("schedules/<uuid:pk>/runs", ScheduledRunList.as_view(), name="schedule-runs"),
]
