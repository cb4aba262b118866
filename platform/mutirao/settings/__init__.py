"""One file per part; this one only puts them together.

Order matters where a later file reads an earlier one's names (it imports them openly).
"""

from mutirao.settings.admin import *  # noqa: F403
from mutirao.settings.api import *  # noqa: F403
from mutirao.settings.audit import *  # noqa: F403
from mutirao.settings.auth import *  # noqa: F403
from mutirao.settings.cache import *  # noqa: F403
from mutirao.settings.celery import *  # noqa: F403
from mutirao.settings.core import *  # noqa: F403
from mutirao.settings.database import *  # noqa: F403
from mutirao.settings.egress import *  # noqa: F403
from mutirao.settings.langsmith import *  # noqa: F403
from mutirao.settings.limits import *  # noqa: F403
from mutirao.settings.logging import *  # noqa: F403
from mutirao.settings.mail import *  # noqa: F403
from mutirao.settings.models import *  # noqa: F403
from mutirao.settings.pages import *  # noqa: F403
from mutirao.settings.prometheus import *  # noqa: F403
from mutirao.settings.pruning import *  # noqa: F403
from mutirao.settings.redis import *  # noqa: F403
from mutirao.settings.sentry import *  # noqa: F403
from mutirao.settings.sign_in import *  # noqa: F403
from mutirao.settings.webhooks import *  # noqa: F403
