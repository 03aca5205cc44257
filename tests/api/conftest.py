# SPDX-License-Identifier: BSD-3-Clause
"""Fixtures of the contract tests: one service per module with three users, and the clients that speak for them."""
import pytest

from harness.service import PASSWORD, Service


@pytest.fixture(scope="module")
def service():
    with Service() as running:
        running.tokens = {
            "admin": running.create_user("admin", admin=True),
            "alice": running.create_user("alice", email="alice@example.org", password=PASSWORD),
        }
        running.start()
        yield running


@pytest.fixture(scope="module")
def api(service):
    """A user like any other: active, not staff."""
    client = service.api(service.tokens["alice"])
    yield client
    client.close()


@pytest.fixture(scope="module")
def admin(service):
    client = service.api(service.tokens["admin"])
    yield client
    client.close()


@pytest.fixture(scope="module")
def nobody(service):
    """No credentials at all."""
    client = service.api()
    yield client
    client.close()
