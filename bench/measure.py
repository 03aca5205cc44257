# SPDX-License-Identifier: BSD-3-Clause
"""What every measurement needs: processes with their CPU and memory, the receiver, and medians.

CPU is read from /proc for whole process trees, so it counts a peer's database and broker, and it does not depend on what
else the machine does. A rate does: it is only worth something beside another one of the same run.
"""
import json
import os
import pathlib
import shutil
import signal
import statistics
import subprocess
import tempfile
import time
import urllib.request

ROOT = pathlib.Path(__file__).resolve().parents[1]
BUILD = ROOT / "build" / "bench"
TICKS = os.sysconf("SC_CLK_TCK")


class Refused(Exception):
    """A measurement that cannot be taken here; the text says why."""


def compile_c(name, *libraries):
    """bench/NAME.c to build/bench/NAME, when the source is newer."""
    source, program = ROOT / "bench" / f"{name}.c", BUILD / name
    BUILD.mkdir(parents=True, exist_ok=True)
    if not program.exists() or program.stat().st_mtime < source.stat().st_mtime:
        subprocess.run(["cc", "-O2", "-D_GNU_SOURCE", "-o", str(program), str(source), *libraries], check=True)
    return str(program)


def process_tree(roots):
    """The pids of `roots` and of all that descend from them."""
    children = {}
    for entry in pathlib.Path("/proc").iterdir():
        if entry.name.isdigit():
            try:
                parent = int((entry / "stat").read_text().rsplit(")", 1)[1].split()[1])
            except (OSError, IndexError):
                continue
            children.setdefault(parent, []).append(int(entry.name))
    found, todo = [], list(roots)
    while todo:
        pid = todo.pop()
        found.append(pid)
        todo += children.get(pid, [])
    return found


def cpu_seconds(roots):
    """User and system time of the trees, their ended children included."""
    ticks = 0
    for pid in process_tree(roots):
        try:
            fields = pathlib.Path(f"/proc/{pid}/stat").read_text().rsplit(")", 1)[1].split()
        except OSError:
            continue
        ticks += sum(int(fields[i]) for i in (11, 12, 13, 14))
    return ticks / TICKS


def resident_mib(roots):
    """Resident memory of the trees; pages that several processes share are divided among them."""
    kib = 0
    for pid in process_tree(roots):
        try:
            text = pathlib.Path(f"/proc/{pid}/smaps_rollup").read_text()
        except OSError:
            continue
        kib += next(int(line.split()[1]) for line in text.splitlines() if line.startswith("Pss:"))
    return kib / 1024


def median_row(rows):
    """One row of many runs: numbers become {"median", "min", "max"}, other values must agree."""
    merged = {}
    for key in rows[0]:
        values = [row[key] for row in rows if row.get(key) is not None]
        if values and all(isinstance(value, (int, float)) and not isinstance(value, bool) for value in values):
            merged[key] = {"median": statistics.median(values), "min": min(values), "max": max(values)}
        else:
            merged[key] = values[0] if values else None
    merged["runs"] = len(rows)
    return merged


class Folder:
    """A new directory in which a system keeps everything; PostgreSQL's own user has to get into it."""

    def __init__(self, name):
        BUILD.mkdir(parents=True, exist_ok=True)
        self.path = pathlib.Path(tempfile.mkdtemp(prefix=f"seed-bench-{name}-"))
        self.path.chmod(0o755)

    def remove(self):
        shutil.rmtree(self.path, ignore_errors=True)


def stop(process, seconds=30):
    if process and process.poll() is None:
        process.send_signal(signal.SIGTERM)
        try:
            process.wait(seconds)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait(10)


class Receiver:
    """bench/receiver.c on a port of its own."""

    def __init__(self, hosts=0):
        words = [compile_c("receiver"), "0", *([str(hosts)] if hosts else [])]
        self.process = subprocess.Popen(words, stdout=subprocess.PIPE, text=True)
        self.port = int(self.process.stdout.readline())
        self.endpoint = f"http://127.0.0.1:{self.port}/callback"

    def _ask(self, path, post):
        request = urllib.request.Request(f"http://127.0.0.1:{self.port}{path}", data=b"" if post else None)
        return urllib.request.urlopen(request, timeout=60).read()

    def report(self):
        return json.loads(self._ask("/report", False))

    def reset(self):
        self._ask("/reset", True)

    def open_window(self):
        self._ask("/window", True)

    def wait_for(self, ids, seconds, still_s=20):
        """Until that many different ids have come, `seconds` have passed, or nothing has come for `still_s`."""
        deadline, seen, moved = time.monotonic() + seconds, -1, time.monotonic()
        while time.monotonic() < deadline and time.monotonic() < moved + still_s:
            report = self.report()
            if report["ids"] >= ids:
                break
            if report["ids"] != seen:
                seen, moved = report["ids"], time.monotonic()
            time.sleep(0.1)
        return self.report()

    def stop(self):
        stop(self.process)
