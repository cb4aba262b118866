from django.apps import AppConfig
from django.contrib.admin import apps as admin_apps


class MutiraoConfig(AppConfig):
    default = True
    name = "mutirao"
    verbose_name = "Mutirão"

    def ready(self) -> None:
        # Registers the system checks, and what a worker does when it is ready.
        from mutirao import checks, worker_metrics  # noqa: F401


class AdminConfig(admin_apps.AdminConfig):
    default_site = "mutirao.admin_site.MutiraoAdminSite"
    default = False
