# SPDX-License-Identifier: BSD-3-Clause
"""What every measurement needs: processes with their CPU and memory, folders on a real disk, and the receiver.

CPU is read from /proc for whole process trees, so it counts a peer's database and broker, and it does not depend on what
else the machine does. A rate does: it is only worth something beside another one of the same run.
"""
import http.client
import json
import os
import pathlib
import shutil
import signal
import socket
import subprocess
import tempfile
import time

ROOT = pathlib.Path(__file__).resolve().parents[1]
BUILD = ROOT / "build" / "bench"
DISK = pathlib.Path("/var/tmp")  # /tmp may be memory, where a sync costs nothing
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


def read_trees(roots, name):
    """/proc/PID/NAME of every process of the trees that still is."""
    for pid in process_tree(roots):
        try:
            text = pathlib.Path(f"/proc/{pid}/{name}").read_text()
        except OSError:
            continue
        yield text


def cpu_seconds(roots):
    """User and system time of the trees, their ended children included."""
    fields = (text.rsplit(")", 1)[1].split() for text in read_trees(roots, "stat"))
    return sum(int(of_one[i]) for of_one in fields for i in (11, 12, 13, 14)) / TICKS


def written_bytes(roots):
    """What the trees have made the kernel write to disks."""
    return sum(int(text.split("\nwrite_bytes: ")[1].split()[0]) for text in read_trees(roots, "io"))


def resident_mib(roots):
    """Resident memory of the trees; pages that several processes share are divided among them."""
    return sum(int(text.split("\nPss:")[1].split()[0]) for text in read_trees(roots, "smaps_rollup")) / 1024


class Folder:
    """A new directory in which a system keeps everything; PostgreSQL's own user has to get into it."""

    def __init__(self, name):
        self.path = pathlib.Path(tempfile.mkdtemp(prefix=f"seed-bench-{name}-", dir=DISK))
        self.path.chmod(0o755)

    def remove(self):
        shutil.rmtree(self.path, ignore_errors=True)


def tail(path, n=300):
    return path.read_text(errors="replace")[-n:] if path.exists() else ""


def free_port():
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]


def stop(process, seconds=30, how=signal.SIGTERM):
    if process and process.poll() is None:
        process.send_signal(how)
        try:
            process.wait(seconds)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait(10)


class Receiver:
    """bench/receiver.c on a port of its own. What it limits is a measurement of itself: "receiver_busy" tells."""

    def __init__(self, hosts=0):
        words = [compile_c("receiver"), "0", *([str(hosts)] if hosts else [])]
        self.process = subprocess.Popen(words, stdout=subprocess.PIPE, text=True)
        self.port = int(self.process.stdout.readline())
        self.endpoint = f"http://127.0.0.1:{self.port}/callback"
        self.connection = http.client.HTTPConnection("127.0.0.1", self.port, timeout=60)

    def _ask(self, method, path):
        self.connection.request(method, path)
        return self.connection.getresponse().read()

    def report(self):
        return json.loads(self._ask("GET", "/report"))

    def open_window(self, from_s, until_s):
        """Only what is planned in it counts from now on."""
        self._ask("POST", f"/window/{round(from_s * 1e6)}/{round(until_s * 1e6)}")

    def wait_for(self, ids, seconds, still_s=20):
        """Until that many different ids have come, `seconds` have passed, or nothing has come for `still_s`."""
        deadline, seen, moved = time.monotonic() + seconds, -1, time.monotonic()
        while time.monotonic() < deadline and time.monotonic() < moved + still_s:
            count = json.loads(self._ask("GET", "/count"))["ids"]
            if count >= ids:
                break
            if count != seen:
                seen, moved = count, time.monotonic()
            time.sleep(0.05)

    def cpu_seconds(self):
        return cpu_seconds([self.process.pid])

    def stop(self):
        stop(self.process)
        self.connection.close()
