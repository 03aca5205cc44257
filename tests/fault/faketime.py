# SPDX-License-Identifier: BSD-3-Clause
"""The test's side of faketime.c: a clock that is set by hand, and what it showed at any moment.

`Clock` writes the file that the shim maps. Whoever judges asks it what the wall clock of the service showed at an
instant of the real clock; between two changes all clocks run on.
"""
import os
import pathlib
import struct
import subprocess
import time

HERE = pathlib.Path(__file__).resolve().parent
NS = 1_000_000_000
LAYOUT = struct.Struct("=Qqqqqq")       # version, wall, boot, monotonic offsets, rate, since
PPB = 1_000_000_000


def build(folder):
    """Compiles the shim; returns its path."""
    shim = pathlib.Path(folder) / "faketime.so"
    if not shim.exists():
        subprocess.run(["cc", "-shared", "-fPIC", "-O2", "-D_GNU_SOURCE", "-Wall", "-Wextra", "-Werror", "-o", str(shim),
                        str(HERE / "faketime.c"), "-ldl", "-lpthread"], check=True)
    return shim


def preload(binary, shim):
    """LD_PRELOAD for `binary`: a sanitizer's library wants to come first."""
    listed = subprocess.run(["ldd", binary], capture_output=True, text=True, check=True).stdout
    sanitizers = [line.split(" => ")[1].split(" ")[0] for line in listed.splitlines() if "libasan" in line]
    return ":".join([*sanitizers, str(shim)])


class Moment:
    """What was so from one change on: the offset of the wall clock at `real_ns`, and the rate from there."""

    def __init__(self, real_ns, wall_ns, rate_ppb):
        self.real_ns, self.wall_ns, self.rate_ppb = real_ns, wall_ns, rate_ppb

    def wall(self, real_ns):
        return real_ns + self.wall_ns + (real_ns - self.real_ns) * self.rate_ppb // PPB


class Clock:
    """The clock of one service. Offsets and instants in nanoseconds; real instants are time.time_ns()."""

    def __init__(self, folder, binary):
        self.path = pathlib.Path(folder) / "clock"
        self.fifo = pathlib.Path(f"{self.path}.set")
        os.mkfifo(self.fifo)
        self.version = 0
        self.offsets = [0, 0, 0]
        self.rate_ppb = 0
        self.since_ns, self.real_ns = time.monotonic_ns(), time.time_ns()
        self.moments = []
        self.path.write_bytes(bytes(LAYOUT.size))
        self._write()
        self.environment = {"FAKETIME_FILE": str(self.path), "LD_PRELOAD": preload(binary, build(folder))}

    def _write(self):
        with open(self.path, "r+b", buffering=0) as file:
            file.write(struct.pack("=Q", self.version + 1))
            file.write(struct.pack("=qqqqq", *self.offsets, self.rate_ppb, self.since_ns))
            file.seek(0)
            file.write(struct.pack("=Q", self.version + 2))
        self.version += 2
        self.moments.append(Moment(self.real_ns, self.offsets[0], self.rate_ppb))

    def _settle_drift(self):
        now, self.real_ns = time.monotonic_ns(), time.time_ns()
        drift = (now - self.since_ns) * self.rate_ppb // PPB
        self.offsets = [offset + drift for offset in self.offsets]
        self.since_ns = now

    def wall_ns(self, real_ns=None):
        """The wall clock as the service sees it, at a real instant not before the last change, else now."""
        return self.moments[-1].wall(time.time_ns() if real_ns is None else real_ns)

    def latest_shown_ns(self, from_ns, to_ns):
        """The latest that the wall clock showed within that stretch of real time."""
        latest = None
        for at, moment in enumerate(self.moments):
            end = self.moments[at + 1].real_ns if at + 1 < len(self.moments) else to_ns
            if end < from_ns or moment.real_ns > to_ns:
                continue
            shown = moment.wall(min(end, to_ns))
            latest = shown if latest is None else max(latest, shown)
        return latest

    # ---- changes ----

    def step(self, by_ns, is_told=True):
        """Sets the wall clock forward or back. `is_told`: timers hear of it as from the kernel."""
        self._settle_drift()
        self.offsets[0] += by_ns
        self._write()
        if is_told:
            self.tell()

    def set_wall(self, wall_ns, is_told=True):
        self.step(wall_ns - self.wall_ns(), is_told)

    def suspend(self, for_ns):
        """The machine slept: wall and boot clock went on, the monotonic one did not."""
        self._settle_drift()
        self.offsets[0] += for_ns
        self.offsets[1] += for_ns
        self._write()
        self.tell()

    def pass_ns(self, ns):
        """That much time goes by on every clock; for a service that is stopped."""
        self._settle_drift()
        self.offsets = [offset + ns for offset in self.offsets]
        self._write()

    def slew(self, rate_ppb):
        """From now on all clocks run faster or slower by so much, as under adjtime(3)."""
        self._settle_drift()
        self.rate_ppb = rate_ppb
        self._write()

    def freeze(self):
        """All clocks stand still until the next slew, so that a start happens at a known instant. Timers do not end."""
        self.slew(-PPB)

    def tell(self):
        try:
            fifo = os.open(self.fifo, os.O_WRONLY | os.O_NONBLOCK)
        except OSError:     # nobody has a timer
            return
        os.write(fifo, b"!")
        os.close(fifo)
