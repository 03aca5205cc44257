# SPDX-License-Identifier: BSD-3-Clause
"""Waiting for conditions with a deadline, never for a fixed time.

Where a thread of the harness can tell that something changed, use its Condition; `until` is for states that only
a question to the service can reveal.
"""
import time


def until(question, timeout=10.0, pause=0.02, what="condition"):
    """Asks `question()` until it gives something true, returns that, or fails when the deadline has passed."""
    deadline = time.monotonic() + timeout
    while True:
        answer = question()
        if answer:
            return answer
        if time.monotonic() >= deadline:
            raise AssertionError(f"{what} did not hold within {timeout} s; last answer: {answer!r}")
        time.sleep(pause)
