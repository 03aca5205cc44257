# SPDX-License-Identifier: BSD-3-Clause
"""The two tasks: queue everything that a timing fires, and deliver one.

In Celery's favour: its workers take many tasks ahead and acknowledge them before they run (a crash loses them), and an
interval task is late only against the instant at which beat sent it.
"""
import datetime
import json
import os
import uuid

from celery import Celery
from celery.signals import before_task_publish

os.environ.setdefault("DJANGO_SETTINGS_MODULE", "project.settings")
app = Celery("project")
app.config_from_object("django.conf:settings", namespace="CELERY")
session = None


@before_task_publish.connect(sender="project.celery.queue_all")
def plan(body, **_):
    """Beat alone sends this task. With a crontab the planned minute is told; else it is the instant of sending."""
    now = datetime.datetime.now(datetime.timezone.utc)
    body[1].setdefault("planned", now.strftime("%Y-%m-%dT%H:%M:%S.%fZ"))


@app.task(typing=False)  # the instant comes after the arguments are checked
def queue_all(timing, planned):
    from .models import Schedule

    for pk in Schedule.objects.filter(timing=timing, enabled=True).values_list("pk", flat=True).iterator():
        deliver.delay(pk, planned)


@app.task(bind=True, max_retries=5)
def deliver(self, pk, planned):
    import requests

    from .models import Schedule

    global session
    session = session or requests.Session()
    schedule = Schedule.objects.get(pk=pk)
    headers = {
        "Content-Type": "application/json",
        "Authorization": "Token " + schedule.auth_token,
        "Idempotency-Key": f'"{uuid.uuid5(schedule.pk, planned)}"',
        "Seed-Planned-At": planned,
        "Seed-Attempt": "1",
    }
    session.post(schedule.endpoint, data=json.dumps(schedule.payload), headers=headers, timeout=30).raise_for_status()
