# SPDX-License-Identifier: BSD-3-Clause
"""Short runs of tests/fault/abuse.py, whose modules say what is tried and expected. The long ones are that command."""
import select
import socket

import pytest

from fault import abuse_framing, abuse_json, abuse_slow
from fault.abuse import run
from harness.client import head
from harness.service import Service
from harness.verdict import Verdict

BUDGETS = {"json": 1500, "framing": 3, "sizes": 600, "auth": 200, "injection": 6}
# A dozen seconds each at most; NOISE_MS is what a slow binary on a busy machine may add to the 99th percentile.
CROWDS = ["send a head a byte at a time", "ask without end and read"]
NOISE_MS = 1000


def test_crowds_beside_good_clients(monkeypatch):
    monkeypatch.setattr(abuse_slow, "LATER_MS_MAX", NOISE_MS)
    verdict = Verdict("abuse-slow")
    abuse_slow.run(verdict, 150, seed=7, names=CROWDS, baseline_s=1)
    assert verdict.held, verdict.failures


@pytest.mark.parametrize("part", BUDGETS)
def test_abuse(part):
    verdict = run(part, BUDGETS[part], seed=7)
    assert verdict.held, verdict.failures


def test_a_wrong_verdict_is_noticed(monkeypatch):
    """The rig bites: with one verdict of its tables turned round, the part does not hold."""
    monkeypatch.setattr(abuse_json, "WRONG", {"numbers": [b"-1"]})
    trailer = abuse_framing.CHUNKS["a trailer"][0]
    monkeypatch.setattr(abuse_framing, "GROUPS", {"": {"a trailer": (trailer, ("refused",))}})
    monkeypatch.setattr(abuse_framing, "MALFORMED", {})
    failures = run("json", 1, seed=7).failures
    assert any("-1" in text and "was taken" in text for text in failures), failures
    failures = run("framing", 1, seed=7).failures
    assert any("a trailer: (201, 401) instead of" in text for text in failures), failures


def test_passwords_of_clients_that_left_are_not_hashed():
    """The queue is full of guesses; when their clients are gone, the service's end does not wait for the hashes."""
    guess = head("GET", "/api/v1/", [("Host", "x"), ("Authorization", "Basic bm9ib2R5Ong=")])
    with Service() as service:
        service.start()
        guessers, answered = [], []
        while not answered:
            guessers.append(socket.create_connection(service.address))
            guessers[-1].send(guess)
            answered, _, _ = select.select(guessers[20:], [], [], 0.01)
        assert answered[0].recv(12) == b"HTTP/1.1 429"
        for guesser in guessers:
            guesser.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, b"\x01\x00\x00\x00\x00\x00\x00\x00")
            guesser.close()
        service.stop()
        hashed = service.log_text().count('"auth_failed"')
        assert hashed <= len(guessers) // 2, hashed
