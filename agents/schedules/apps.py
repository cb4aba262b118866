from django.apps import AppConfig
from django.utils.translation import gettext_lazy as _


class SchedulesConfig(AppConfig):
    name = "agents.schedules"
    label = "agents_schedules"
    verbose_name = _("Schedules")

    def ready(self) -> None:
        from accounts import audit
        from agents.schedules import portable, privacy, pruning, resources

        pruning.register_rules()
        privacy.register_holdings()
        portable.register_kinds()
        resources.register()

        audit.register_verb("schedule.create", _("made a schedule"))
        audit.register_verb("schedule.update", _("changed a schedule"))
        audit.register_verb("schedule.pause", _("paused a schedule"))
        audit.register_verb("schedule.resume", _("resumed a schedule"))
        audit.register_verb("schedule.run", _("ran a schedule by hand"))
        audit.register_verb("schedule.delete", _("deleted a schedule"))
