# SPDX-License-Identifier: BSD-3-Clause
"""Arms the preloaded iofault.c: which calls on which files fail, from which one on, with which errno; and what it saw.

    faults = Faults(directory)
    service = Service(env=faults.environment)
    rule = faults.arm("fsync", "*/scheduler.db-wal", first=3, error=errno.EIO)
    ... rule.seen, rule.hit ...; faults.disarm()
"""
import errno as errno_module
import mmap
import os
import pathlib
import struct

from harness.service import BINARY, ROOT

RULES_N = 8
RULE = struct.Struct("16s64sIIiIIIII")     # struct rule of iofault.c
SEEN_AT = RULE.size - 16
CUTS, LOSES = 1, 2
FOR_EVER = 0xffffffff


def library():
    """The preloaded library, from the build of the program under test or else from the build with the tests."""
    places = [pathlib.Path(BINARY).resolve().parent, ROOT / "build" / "test"]
    found = [place / "tests" / "fault" / "iofault.so" for place in places]
    for path in found:
        if path.exists():
            return path
    raise AssertionError(f"iofault.so is not built: looked for {', '.join(map(str, found))}")


class Rule:
    """One armed rule."""

    def __init__(self, memory, at):
        self.memory, self.at = memory, at

    @property
    def seen(self):
        return struct.unpack_from("I", self.memory, self.at + SEEN_AT)[0]

    @property
    def hit(self):
        return struct.unpack_from("I", self.memory, self.at + SEEN_AT + 4)[0]

    @property
    def again(self):
        """Matching calls on the file that had failed, after it failed."""
        return struct.unpack_from("I", self.memory, self.at + SEEN_AT + 8)[0]


class Faults:
    """The control file, and the environment that puts a program under it."""

    def __init__(self, directory):
        path = pathlib.Path(directory) / "iofault.control"
        path.write_bytes(bytes(RULES_N * RULE.size))
        with open(path, "r+b") as file:
            self.memory = mmap.mmap(file.fileno(), 0)
        options = os.environ.get("ASAN_OPTIONS", "")
        self.environment = {"LD_PRELOAD": str(library()), "IOFAULT_CONTROL": str(path),
                            "ASAN_OPTIONS": f"{options}:verify_asan_link_order=0".lstrip(":")}

    def arm(self, call, pattern, first=1, last=None, error=errno_module.EIO, flags=0, place=0):
        """Fails the matching calls `first`..`last` (default: that one alone) counted from now on."""
        at = place * RULE.size
        self.memory[at:at + RULE.size] = bytes(RULE.size)
        wanted = RULE.pack(call.encode(), pattern.encode(), first, last or first, error, flags, 0, 0, 0, 0)
        # The name goes last: a rule without one matches nothing.
        self.memory[at + 16:at + RULE.size] = wanted[16:]
        self.memory[at:at + 16] = wanted[:16]
        return Rule(self.memory, at)

    def disarm(self):
        self.memory[:] = bytes(len(self.memory))
