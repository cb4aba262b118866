"""The roof: settings, urls, servers, and the commands that run the whole house."""

from mutirao.celery import app as celery_app

__all__ = ["celery_app"]
