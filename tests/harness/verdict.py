# SPDX-License-Identifier: BSD-3-Clause
"""What a long proof tried and found: kept while it runs, printed as one line at its end.

A part holds when nothing was wrong and as much was tried as it asked for: a run without load proves nothing.
"""
import collections
import json
import sys

SHOWN_MAX = 40


class Verdict:
    """One part's record. Counts go to `tried`, figures to `found`; `wrong` is one failure in words."""

    def __init__(self, part, out=sys.stderr):
        self.part = part
        self.out = out
        self.tried = collections.Counter()
        self.found = {}
        self.failures = []

    def say(self, text):
        print(f"{self.part}: {text}", file=self.out, flush=True)

    def count(self, what, number=1):
        self.tried[what] += number

    def wrong(self, text):
        self.failures.append(text)
        if len(self.failures) <= SHOWN_MAX:
            self.say(f"WRONG: {text}")

    def expect(self, holds, text):
        if not holds:
            self.wrong(text)
        return holds

    def least(self, what, number):
        """Void without that much of it."""
        if self.tried[what] < number:
            self.wrong(f"void: {self.tried[what]} {what} tried, at least {number} wanted")

    @property
    def held(self):
        return bool(self.tried) and not self.failures

    def line(self):
        found = {**self.found, "wrong": len(self.failures)}
        return "proof: " + json.dumps({"part": self.part, "tried": dict(self.tried), "found": found,
                                       "held": self.held})
