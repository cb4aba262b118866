"""What starting Django may and may not bring along."""

from __future__ import annotations

import os
import platform
import subprocess
import sys
from pathlib import Path

import pytest

pytestmark = pytest.mark.embedded

ROOT = Path(__file__).resolve().parents[2]
PRODUCTION = {
    "SECRET_KEY": "a-production-secret-of-enough-different-characters-2718281828",
    "MUTIRAO_ENCRYPTION_KEYS": "YS1wcm9kdWN0aW9uLWVuY3J5cHRpb24ta2V5LTMyLWI=",
    "JWT_SIGNING_KEY": "another-production-secret-of-enough-characters-3141592653",
    "REDIS_URL": "redis://redis.example:6379/0",
    "DATABASE_URL": "postgres://mutirao:secret@db.example/mutirao",
    "ALLOWED_HOSTS": "agents.example",
    "DJANGO_SETTINGS_MODULE": "mutirao.settings",
}


def _python(*arguments: str, **environ: str) -> subprocess.CompletedProcess[str]:
    kept = {name: value for name, value in os.environ.items() if name in {"PATH", "HOME", "LANG"}}
    return subprocess.run(
        [sys.executable, *arguments], cwd=ROOT, env=kept | environ, capture_output=True, text=True, timeout=180
    )


def test_platform_is_the_standard_library() -> None:
    assert not (ROOT / "platform" / "__init__.py").exists()
    assert not list((ROOT / "platform").glob("*.py"))
    assert Path(platform.__file__).is_relative_to(Path(os.__file__).parent)
    found = _python("-c", "import platform; print(platform.__file__, platform.system())")
    assert found.returncode == 0
    assert str(ROOT / "platform") not in found.stdout


def test_django_and_the_urls_start_without_langchain(tmp_path: Path) -> None:
    code = (
        "import django, sys; django.setup();"
        "from django.urls import get_resolver; assert len(get_resolver().url_patterns) > 3;"
        "from django.contrib import admin; assert admin.site._registry;"
        "import mutirao.asgi;"
        "print(sorted(n for n in sys.modules if n.split('.')[0] in "
        "('langchain', 'langchain_core', 'langchain_openai', 'langgraph', 'openai')))"
    )
    found = _python("-c", code, **PRODUCTION, MUTIRAO_HOME=str(tmp_path))
    assert found.returncode == 0, found.stderr
    assert found.stdout.strip() == "[]"


def test_production_settings_pass_the_deployment_checks(tmp_path: Path) -> None:
    found = _python(
        "manage.py", "check", "--deploy", "--fail-level", "WARNING", **PRODUCTION, MUTIRAO_HOME=str(tmp_path)
    )
    assert found.returncode == 0, found.stderr
    assert "no issues" in found.stdout


@pytest.mark.parametrize(
    ("name", "value", "sentence"),
    [
        ("SECRET_KEY", "", "SECRET_KEY is not set."),
        ("SECRET_KEY", "short", "SECRET_KEY is shorter than 32 characters."),
        ("JWT_SIGNING_KEY", PRODUCTION["SECRET_KEY"], "JWT_SIGNING_KEY equals SECRET_KEY."),
        ("MUTIRAO_ENCRYPTION_KEYS", "", "MUTIRAO_ENCRYPTION_KEYS is not set."),
        ("MUTIRAO_ENCRYPTION_KEYS", "short", "MUTIRAO_ENCRYPTION_KEYS has something that is no Fernet key."),
        ("REDIS_URL", "", "REDIS_URL is not set."),
        ("REDIS_URL", "http://redis", "REDIS_URL is not a redis://"),
        ("CELERY_BROKER_URL", "sqs://queue", "CELERY_BROKER_URL is not"),
        ("MUTIRAO_DEFAULT_MODEL", "gpt-4o", "MUTIRAO_DEFAULT_MODEL is not of the form provider:model."),
    ],
)
def test_a_wrong_environment_is_a_named_error(tmp_path: Path, name: str, value: str, sentence: str) -> None:
    environ = PRODUCTION | {name: value, "MUTIRAO_HOME": str(tmp_path)}
    found = _python("manage.py", "check", **{key: text for key, text in environ.items() if text})
    assert found.returncode != 0
    assert sentence in found.stderr
