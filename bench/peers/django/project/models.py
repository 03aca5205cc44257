# SPDX-License-Identifier: BSD-3-Clause
"""What a schedule is there, with the fields of the v1 API."""
import uuid

from django.db import models


class Schedule(models.Model):
    id = models.UUIDField(primary_key=True, default=uuid.uuid4, editable=False)
    timing = models.CharField(max_length=500, db_index=True, blank=True, default="")
    frequency = models.IntegerField(null=True, blank=True)
    cron_definition = models.CharField(max_length=500, null=True, blank=True)
    interval_definition = models.CharField(max_length=100, null=True, blank=True)
    endpoint = models.CharField(max_length=500)
    payload = models.JSONField(default=dict)
    auth_token = models.CharField(max_length=500, null=True, blank=True)
    next_send_at = models.DateTimeField(null=True, blank=True)
    enabled = models.BooleanField(default=True)
    created_at = models.DateTimeField(auto_now_add=True, db_index=True)  # a page in creation order needs no sort
    updated_at = models.DateTimeField(auto_now=True)
