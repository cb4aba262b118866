"""What single rows have to have so that people can share them."""

from __future__ import annotations

from django.contrib.contenttypes.fields import GenericRelation
from django.db import models


class Shared(models.Model):
    """A row that can be shared. What was granted on it goes with it, also when it goes with its owner: guardian keeps
    grants by the text of an id, and a row that came back under the same id would find them waiting.
    """

    user_grants = GenericRelation("guardian.UserObjectPermission", object_id_field="object_pk", related_query_name="+")
    role_grants = GenericRelation("guardian.GroupObjectPermission", object_id_field="object_pk", related_query_name="+")

    class Meta:
        abstract = True
