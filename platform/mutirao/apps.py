from django.apps import AppConfig
from django.contrib.admin import apps as admin_apps


class MutiraoConfig(AppConfig):
    default = True
    name = "mutirao"
    verbose_name = "Mutirão"

    def ready(self) -> None:
        # Registers the system checks.
        from mutirao import checks, measures  # noqa: F401

        measures.register()


class AdminConfig(admin_apps.AdminConfig):
    default_site = "mutirao.admin_site.MutiraoAdminSite"
    default = False
