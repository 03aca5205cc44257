# SPDX-License-Identifier: BSD-3-Clause
"""The two tasks: queue everything that a timing fires, and deliver one."""
import datetime
import json
import os
import uuid

from celery import Celery

os.environ.setdefault("DJANGO_SETTINGS_MODULE", "project.settings")
app = Celery("project")
app.config_from_object("django.conf:settings", namespace="CELERY")
session = None


def now():
    return datetime.datetime.now(datetime.timezone.utc)


@app.task
def queue_all(timing, period_s):
    """`timing` names the schedules; the instant is the last multiple of the period."""
    from .models import Schedule

    planned = datetime.datetime.fromtimestamp(now().timestamp() // period_s * period_s, datetime.timezone.utc)
    text = planned.strftime("%Y-%m-%dT%H:%M:%S.%fZ")
    for pk in Schedule.objects.filter(timing=timing, enabled=True).values_list("pk", flat=True).iterator():
        deliver.delay(pk, text)


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
        "Idempotency-Key": f'"{uuid.uuid4()}"',
        "Seed-Planned-At": planned,
        "Seed-Attempt": "1",
    }
    session.post(schedule.endpoint, data=json.dumps(schedule.payload), headers=headers, timeout=30).raise_for_status()
