# SPDX-License-Identifier: BSD-3-Clause
"""Makes the tables, and tells beat what to do: `tell.py prepare | token | burst N AT | steady RATE`."""
import datetime
import json
import os
import sys

import django

os.environ.setdefault("DJANGO_SETTINGS_MODULE", "project.settings")
django.setup()

from django.core.management import call_command  # noqa: E402
from django.contrib.auth.models import User  # noqa: E402
from django.db import connection  # noqa: E402
from django_celery_beat.models import CrontabSchedule, IntervalSchedule, PeriodicTask  # noqa: E402
from project.models import Schedule  # noqa: E402
from rest_framework.authtoken.models import Token  # noqa: E402

TASK = "project.celery.queue_all"


def make(n, timing):
    payload = {"n": 0, "text": os.environ["PAYLOAD_TEXT"]}
    Schedule.objects.bulk_create(
        [
            Schedule(timing=timing, endpoint=os.environ["ENDPOINT"], payload=payload, auth_token="bench-token")
            for _ in range(n)
        ],
        batch_size=2000,
    )


def main():
    command, *rest = sys.argv[1:]
    if command == "prepare":
        call_command("migrate", "--run-syncdb", verbosity=0)
    elif command == "token":
        print(Token.objects.create(user=User.objects.create(username="bench")).key)
    elif command == "burst":
        make(int(rest[0]), "burst")
        at = datetime.datetime.fromtimestamp(float(rest[1]), datetime.timezone.utc)
        crontab, _ = CrontabSchedule.objects.get_or_create(minute=at.minute, hour=at.hour, timezone="UTC")
        planned = json.dumps({"planned": at.strftime("%Y-%m-%dT%H:%M:%SZ")})
        PeriodicTask.objects.create(name="burst", task=TASK, args='["burst"]', kwargs=planned, crontab=crontab)
    else:
        make(int(rest[0]), "steady")
        interval, _ = IntervalSchedule.objects.get_or_create(every=1, period=IntervalSchedule.SECONDS)
        PeriodicTask.objects.create(name="steady", task=TASK, args='["steady"]', interval=interval)
    connection.close()


if __name__ == "__main__":
    main()
