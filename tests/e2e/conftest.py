# SPDX-License-Identifier: BSD-3-Clause
"""Fixtures of the end-to-end tests: a receiver, a service that may call it, and a schedule that ticks every second.

The ticking schedule replaces sleeping: "nothing more came" is asserted after a stated number of further ticks.
"""
import types

import pytest

from harness.receiver import Receiver
from harness.service import METRICS_PASSWORD, METRICS_USER, Service


@pytest.fixture(scope="module")
def receiver():
    with Receiver() as running:
        yield running


@pytest.fixture(scope="module")
def sink():
    """What METRICS_URL points to."""
    with Receiver() as running:
        yield running


@pytest.fixture(scope="module")
def service(receiver, sink):
    environment = {"METRICS_URL": sink.url("/push"), "METRICS_AUTH_USER": METRICS_USER,
                   "METRICS_AUTH_PASSWORD": METRICS_PASSWORD}
    with Service(metrics=True, env=environment) as running:
        running.token = running.create_user("admin", admin=True)
        running.start()
        yield running


@pytest.fixture(scope="module")
def api(service):
    client = service.api(service.token)
    yield client
    client.close()


@pytest.fixture(scope="module")
def clock(api, receiver):
    """`clock.ticks(n)` returns when the ticking schedule has fired n more times."""
    made = api.create(endpoint=receiver.url("/clock"), interval_definition="1 seconds")

    def ticks(number):
        now = len(receiver.seen("/clock"))
        receiver.wait_for(now + number, "/clock", timeout=5 + 2 * number)
    yield types.SimpleNamespace(ticks=ticks, schedule=made)
