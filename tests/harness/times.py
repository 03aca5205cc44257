# SPDX-License-Identifier: BSD-3-Clause
"""Instants of the wire: RFC 3339 texts as exact microseconds since the epoch."""
import datetime
import re

EPOCH = datetime.datetime(1970, 1, 1, tzinfo=datetime.timezone.utc)
PLANNED = re.compile(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{6}Z\Z")


def microseconds(text):
    moment = datetime.datetime.fromisoformat(text.replace("Z", "+00:00"))
    return (moment - EPOCH) // datetime.timedelta(microseconds=1)


def planned(request):
    """The planned instant of a delivery, in microseconds; its form is fixed by the promise."""
    text = request.header("Seed-Planned-At")
    assert PLANNED.match(text or ""), text
    return microseconds(text)


def iso(seconds):
    """A wall-clock instant (s) as the API takes it."""
    moment = datetime.datetime.fromtimestamp(seconds, datetime.timezone.utc)
    return moment.strftime("%Y-%m-%dT%H:%M:%S.%fZ")
