# SPDX-License-Identifier: BSD-3-Clause
"""bench/receiver.c as a process of its own, and the log in which it keeps every request: the witness of the long trials.

It is never killed, so what it wrote down happened. `poll` reads what has been added; `all` has everything that was read.
"""
import collections
import json
import pathlib
import subprocess
import urllib.request

from .service import ROOT
from .times import microseconds

# at_us: arrival. planned_us: None where the header is no instant. Bodies are bytes without a line end.
Arrival = collections.namedtuple("Arrival", "at_us run attempt schedule planned_us status path body")


def build_receiver(folder):
    """Compiles bench/receiver.c into `folder` and returns the program."""
    program = pathlib.Path(folder) / "receiver"
    subprocess.run(["cc", "-O2", "-D_GNU_SOURCE", "-o", str(program), str(ROOT / "bench" / "receiver.c")], check=True)
    return program


def start_receiver(folder, log=None):
    """Compiles and starts it; returns the process and its port. `log`: where it writes every request down."""
    command = [str(build_receiver(folder)), "0", "0"] + ([str(log)] if log else [])
    child = subprocess.Popen(command, stdout=subprocess.PIPE, text=True)
    return child, int(child.stdout.readline())


def report(port):
    """Its own counts: see the head of bench/receiver.c."""
    with urllib.request.urlopen(f"http://127.0.0.1:{port}/report", timeout=30) as answer:
        return json.loads(answer.read())


class Witness:
    """The receiver and what arrived so far. Use as a context manager."""

    def __init__(self, folder):
        self.log = pathlib.Path(folder) / "arrivals.log"
        self.child, self.port = start_receiver(folder, self.log)
        self.base = f"http://127.0.0.1:{self.port}"
        self.file = open(self.log, "rb")
        self.rest = b""
        self.all = []
        self.instants = {}

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.child.terminate()
        self.child.wait(20)
        self.child.stdout.close()
        self.file.close()

    def _planned_us(self, text):
        """Thousands of schedules share an instant, so each text is read once."""
        if text not in self.instants:
            self.instants[text] = microseconds(text.decode()) if text else None
        return self.instants[text]

    def poll(self):
        """What has arrived since the last call."""
        lines = (self.rest + self.file.read()).split(b"\n")
        self.rest = lines.pop()
        fresh = []
        for line in lines:
            at, run, attempt, schedule, planned, status, path, body = line.split(b"\t", 7)
            fresh.append(Arrival(int(at), run.decode(), int(attempt or 0), schedule.decode(), self._planned_us(planned),
                                 int(status), path.decode(), body))
        self.all += fresh
        return fresh
