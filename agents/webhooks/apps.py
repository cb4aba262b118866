from django.apps import AppConfig
from django.utils.translation import gettext_lazy as _


class WebhooksConfig(AppConfig):
    name = "agents.webhooks"
    label = "agents_webhooks"
    verbose_name = _("Webhooks")

    def ready(self) -> None:
        from accounts import audit, quota_warnings
        from agents.tasks import hooks
        from agents.webhooks import measuring, outbox, privacy, pruning, resources

        pruning.register_rules()
        privacy.register_holdings()
        measuring.register()
        resources.register()
        hooks.on_finished(outbox.enqueue, wants=outbox.wants)
        quota_warnings.on_warned(outbox.enqueue_warning)

        audit.register_verb("webhook.register", _("registered a webhook endpoint"))
        audit.register_verb("webhook.change", _("changed a webhook endpoint"))
        audit.register_verb("webhook.rotate", _("rotated a webhook secret"))
        audit.register_verb("webhook.disable", _("disabled a webhook endpoint"))
        audit.register_verb("webhook.enable", _("enabled a webhook endpoint"))
        audit.register_verb("webhook.delete", _("deleted a webhook endpoint"))
        audit.register_verb("webhook.test", _("sent a webhook test"))
        audit.register_verb("webhook.replay", _("replayed a webhook delivery"))
