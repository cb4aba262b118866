"""`manage.py prepare`: what has to be done once per deploy, before web and workers of the new version start."""

from __future__ import annotations

from typing import Any

from django.conf import settings
from django.core.management.base import BaseCommand, CommandError
from django.utils.translation import gettext as _

from accounts.models import User
from accounts.roles import ensure_roles
from accounts.services import ensure_admin
from agents.definitions.services import sync_agents
from agents.gateway.prices import load_price_list
from mutirao import first_data


class Command(BaseCommand):
    help = "Migrations, roles, prices, `admin` (with MUTIRAO_ADMIN_PASSWORD) and the agents of the code; idempotent."

    def handle(self, *args: Any, **options: Any) -> None:
        try:
            first_data.migrate()
        except first_data.NotPrepared as error:
            raise CommandError(str(error)) from error
        ensure_roles()
        load_price_list()
        agents = sync_agents()
        self.stdout.write(_("The database is ready. Agents of the code: %(names)s.") % {"names": ", ".join(agents)})
        # A made-up password would stand in the log of the deploy.
        if settings.ADMIN_PASSWORD:
            ensure_admin(settings.ADMIN_PASSWORD)
        elif not User.objects.filter(is_superuser=True).exists():
            self.stdout.write(
                _("Nobody can sign in yet: set MUTIRAO_ADMIN_PASSWORD, or run `manage.py createsuperuser`.")
            )
