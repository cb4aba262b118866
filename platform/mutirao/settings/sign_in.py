"""Signing in to pages and admin (django-allauth). docs/adr/0013 says why it is set this way."""

from __future__ import annotations

from mutirao.settings.core import HTTPS, TRUSTED_PROXIES

ACCOUNT_ADAPTER = "accounts.adapters.AccountAdapter"
ACCOUNT_LOGIN_METHODS = {"username", "email"}
ACCOUNT_SIGNUP_FIELDS = ["username*", "password1*", "password2*"]  # nobody signs up; allauth wants to know all the same
ACCOUNT_EMAIL_VERIFICATION = "none"
ACCOUNT_EMAIL_NOTIFICATIONS = True
ACCOUNT_EMAIL_SUBJECT_PREFIX = "[Mutirão] "
ACCOUNT_DEFAULT_HTTP_PROTOCOL = "https" if HTTPS else "http"
ACCOUNT_LOGOUT_REDIRECT_URL = "account_login"
ACCOUNT_FORMS = {"login": "accounts.forms.SignInForm"}
ALLAUTH_TRUSTED_PROXY_COUNT = TRUSTED_PROXIES

MFA_ADAPTER = "accounts.adapters.SecondFactorAdapter"
MFA_SUPPORTED_TYPES = ["totp", "recovery_codes"]
MFA_TOTP_ISSUER = "Mutirão"
MFA_RECOVERY_CODES_SHOW_ONCE = True
# Mail addresses are given by whoever makes the account; there is no proof of them to wait for.
MFA_ALLOW_UNVERIFIED_EMAIL = True

CSRF_FAILURE_VIEW = "mutirao.pages.errors.csrf_failure"
