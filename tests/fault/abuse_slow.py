# SPDX-License-Identifier: BSD-3-Clause
"""Crowds (T35, P14): slow, silent and greedy clients by the thousand beside good ones and 100 deliveries a second.

Each crowd below is a process of its own that opens its connections, misbehaves for some seconds and notes when each
was ended. Meanwhile a good client, another process, asks and writes over kept and fresh connections, and
bench/receiver.c measures how late deliveries are. The same is measured before and after without a crowd. It holds when
  - its members were ended within a second of their limit, and no member of a limitless kind held anybody up;
  - the good client was always served, its 99th percentile within 50 ms of the worse one without;
  - deliveries were on time by the same measure, none lost; resident memory grew by 100 MiB at most.
"""
import multiprocessing
import os
import pathlib
import resource
import select
import socket
import subprocess
import tempfile
import time

from harness.arrivals import report, start_receiver
from harness.client import Raw, head
from harness.service import BINARY, Service, is_sanitized
from harness.wait import until

FORK = multiprocessing.get_context("fork")
DELIVERIES_PER_S = 100
LATER_MS_MAX = 50           # than without a crowd: good clients and deliveries
GROWTH_MIB_MAX = 100
ARRIVALS_PER_S = 2500       # faster, and the crowd's own process is what the others wait for
CUT_S_MAX = 1.5             # after the limit; a second, and what a busy machine takes to notice
HEAD_S, IDLE_S, BODY_S, REQUEST_S, WRITE_S = 10, 60, 5, 30, 30    # the limits of src/http/server.c
GET = b"GET /api/v1/ HTTP/1.1\r\nHost: x\r\n\r\n"


# ---- crowds: what a member sends first, and how it goes on ----

class Crowd:
    """`first` goes out at once, then `drip` every `every_s`. `reads`: takes its answers. `limit_s`: when it must have
    been ended, counted from its connection; None when it may stay."""

    def __init__(self, first=b"", drip=b"", every_s=5.0, reads=True, limit_s=None, members=None, room=None,
        repeats=False):
        self.first, self.drip, self.every_s, self.reads, self.limit_s = first, drip, every_s, reads, limit_s
        self.members, self.room, self.repeats = members, room, repeats


def login(length, body):
    return head("POST", "/api/token-auth/", [("Host", "x"), ("Content-Type", "application/json"),
                                             ("Content-Length", length)]) + body


def crowds(token):
    """Names are what the members do."""
    big_list = head("GET", "/api/v1/schedule/?limit=1000", [("Host", "x"), ("Authorization", f"Token {token}")])
    big_head = b"GET /api/v1/ HTTP/1.1\r\nHost: x\r\n" + b"".join(b"X-%d: %s\r\n" % (n, b"a" * 7900) for n in range(2))
    return {
        "say nothing": Crowd(limit_s=IDLE_S),
        "ask once and stay": Crowd(GET, limit_s=IDLE_S),
        "send a head a byte at a time": Crowd(b"GET /", b"a", limit_s=HEAD_S),
        "send most of a large head and stop": Crowd(big_head, limit_s=HEAD_S),
        "send a body a byte at a time": Crowd(login(30_000, b"{"), b" ", 1.0, limit_s=BODY_S),
        "send chunks a byte at a time": Crowd(GET.replace(b"\r\n\r\n", b"\r\nTransfer-Encoding: chunked\r\n\r\n"),
            b"1", 1.0,
                                              limit_s=BODY_S),
        "send most of a large body and stop": Crowd(login(4_000_000, b" " * 3_900_000), limit_s=REQUEST_S, members=40),
        "ask much and read nothing": Crowd(big_list * 200, reads=False, limit_s=WRITE_S + 20, members=200, room=4096),
        "ask without end and read nothing": Crowd(GET * 50_000, reads=False, limit_s=WRITE_S + 20, members=100,
            room=4096),
        "ask without end and read": Crowd(GET * 2000, members=20, repeats=True),
        # Without a limit on failures, so that the queue of the hashing threads is always full.
        "guess passwords": Crowd(GET[:-2] + b"Authorization: Basic bm9ib2R5Ong=\r\n\r\n", members=250, repeats=True),
        "come and go": Crowd(b"", members=50, repeats=True),
    }


class Member:
    def __init__(self, address, number, room):
        self.socket = socket.socket()
        self.socket.bind((f"127.0.0.{2 + number % 250}", 0))
        if room:
            self.socket.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, room)
        self.socket.connect(address)
        self.socket.setblocking(False)
        self.begun, self.ended, self.left, self.answer = time.monotonic(), None, b"", b""

    def send(self, data):
        self.left += data
        try:
            while self.left:
                self.left = self.left[self.socket.send(self.left):]
        except BlockingIOError:
            pass
        except OSError:
            self.end()

    def receive(self):
        try:
            while True:
                data = self.socket.recv(1 << 18)
                if not data:
                    return self.end()
                self.answer = data[:12]
        except BlockingIOError:
            pass
        except OSError:
            self.end()

    def end(self):
        if self.ended is None:
            self.ended = time.monotonic()
            self.socket.close()


def misbehave(crowd, address, members, seconds, stop):
    """The loop of a crowd's process: yields nothing, returns the members."""
    poll, all_members, by_fd = select.epoll(), [], {}
    begun = time.monotonic()
    for number in range(members):
        member = Member(address, number, crowd.room)
        all_members.append(member)
        by_fd[member.socket.fileno()] = member
        poll.register(member.socket.fileno(), select.EPOLLIN | select.EPOLLRDHUP if crowd.reads else select.EPOLLRDHUP)
        member.send(crowd.first)
        time.sleep(max(0.0, begun + number / ARRIVALS_PER_S - time.monotonic()))
    turn, at = max(0.02, crowd.every_s / members), 0
    due = time.monotonic()
    while time.monotonic() - begun < seconds and not stop.is_set():
        for fd, _ in poll.poll(turn):
            member = by_fd[fd]
            member.receive() if crowd.reads else member.end()
            if member.ended:
                by_fd.pop(fd)
        while crowd.drip and due < time.monotonic():
            member = all_members[at % members]
            at, due = at + 1, due + crowd.every_s / members
            if not member.ended:
                member.send(crowd.drip)
        if not crowd.limit_s or not crowd.reads:
            for member in list(by_fd.values()):
                if not member.ended and (member.left or crowd.repeats):
                    member.send(crowd.first if not member.left else b"")
        if not by_fd:
            break
    return all_members


def crowd_process(crowd, address, members, seconds, stop, pipe):
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))
    try:
        if crowd.first == b"" and crowd.repeats:
            return pipe.send(come_and_go(address, seconds, stop))
        found = misbehave(crowd, address, members, seconds, stop)
        lives = [member.ended - member.begun for member in found if member.ended]
        pipe.send({"members": len(found), "ended": len(lives), "longest_s": max(lives, default=0.0),
                   "answers": sorted({member.answer.decode("latin-1") for member in found if member.answer})[:4]})
    except OSError as error:
        pipe.send({"members": 0, "problem": str(error)})


def come_and_go(address, seconds, stop):
    """Connections that are opened and closed as fast as it goes, some by a reset."""
    begun, number = time.monotonic(), 0
    while time.monotonic() - begun < seconds and not stop.is_set():
        with socket.socket() as sock:
            sock.bind((f"127.0.0.{2 + number % 250}", 0))
            # Without it the ports of this machine run out; every second one sends a beginning first.
            sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, b"\x01\x00\x00\x00\x00\x00\x00\x00")
            sock.connect(address)
            if number % 2:
                sock.send(GET[:20])
        number += 1
    return {"members": number, "ended": number, "longest_s": 0.0, "answers": []}


# ---- the good client ----

def exchange(address, kept, data):
    """Over the kept connection; over a new one when it was closed meanwhile, as idle ones may be (RFC 9112 9.3.1)."""
    try:
        if kept:
            kept.send(data)
            return kept, kept.read()
    except (OSError, EOFError):
        kept.close()
    fresh = Raw(address)
    fresh.send(data)
    return fresh, fresh.read()


def good_process(address, token, pipe, stop):
    """Asks every 20 ms over a kept and a fresh connection in turn, and writes with every tenth request."""
    body = b'{"endpoint":"http://example.org/","enabled":false}'
    ask = head("GET", "/api/v1/schedule/?limit=1", [("Host", "x"), ("Authorization", f"Token {token}")])
    write = head("POST", "/api/v1/schedule/", [("Host", "x"), ("Authorization", f"Token {token}"), ("Content-Length",
        len(body)),
                                               ("Content-Type", "application/json")]) + body
    times, failures, kept = [], [], None
    while not stop.is_set():
        number, begun = len(times), time.perf_counter()
        if kept and number % 2 == 0:
            kept.close()
            kept = None
        try:
            kept, answer = exchange(address, kept, write if number % 10 == 0 else ask)
            if answer.status not in (200, 201):
                failures.append(f"{answer.status} {answer.body[:100]!r}")
        except (OSError, EOFError) as error:
            failures.append(repr(error))
            kept = None
        times.append(1000 * (time.perf_counter() - begun))
        time.sleep(0.02)
    times.sort()
    pipe.send({"requests": len(times), "p50_ms": times[len(times) // 2], "p99_ms": times[int(len(times) * 0.99)],
               "max_ms": times[-1], "failures": len(failures), "first_failures": failures[:3]})


class GoodClient:
    """While the context lasts; `figures` afterwards."""

    def __init__(self, service, token):
        self.stop, (self.pipe, theirs) = FORK.Event(), FORK.Pipe()
        self.process = FORK.Process(target=good_process, args=(service.address, token, theirs, self.stop))

    def __enter__(self):
        self.process.start()
        return self

    def __exit__(self, *_):
        self.stop.set()
        self.figures = self.pipe.recv() if self.pipe.poll(60) else {}
        self.process.join(10)


def resident_mib(pid):
    with open(f"/proc/{pid}/statm", encoding="ascii") as file:
        return int(file.read().split()[1]) * resource.getpagesize() / 2 ** 20


def cpu_s(pid):
    fields = pathlib.Path(f"/proc/{pid}/stat").read_text().rsplit(")", 1)[1].split()
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


def reset_receiver(port):
    with Raw(("127.0.0.1", port)) as raw:
        raw.send(head("POST", "/reset", [("Host", "x"), ("Content-Length", 0)]))
        raw.read()


def measure(service, token, port, during):
    """Runs `during()` with a good client beside it; returns its result and everybody's figures."""
    reset_receiver(port)
    begun = time.monotonic()
    with GoodClient(service, token) as good:
        result = during()
    seconds, deliveries = time.monotonic() - begun, report(port)
    late = {key: value / 1000 for key, value in deliveries["lateness_us"].items()}
    return result, {"good": good.figures, "late_ms": late, "seconds": seconds, "deliveries": deliveries["count"],
                    "early": deliveries["early"], "duplicates": deliveries["duplicates"]}


def judge_others(verdict, name, figures, before):
    good, late = figures["good"], figures["late_ms"]
    verdict.expect(good.get("failures") == 0, f"{name}: good requests failed: {good}")
    if max(before["good"]["p99_ms"], before["late_ms"]["p99"]) > LATER_MS_MAX:
        verdict.wrong(f"{name}: void: the machine is too busy to tell: without the crowd good clients' p99 is "
                      f"{before['good']['p99_ms']:.0f} ms, and deliveries are {before['late_ms']['p99']:.0f} ms late")
        return
    verdict.expect(good.get("requests", 0) > 5 * figures["seconds"],
        f"{name}: void: the good client made {good} requests")
    verdict.expect(figures["deliveries"] > 0.9 * DELIVERIES_PER_S * (figures["seconds"] - 1),
                   f"{name}: {figures['deliveries']} deliveries in {figures['seconds']:.0f} s")
    verdict.expect(figures["early"] == 0 and figures["duplicates"] == 0,
        f"{name}: early or doubled deliveries: {figures}")
    verdict.expect(good["p99_ms"] <= before["good"]["p99_ms"] + LATER_MS_MAX,
                   f"{name}: good clients' p99 {good['p99_ms']:.1f} ms, without {before['good']['p99_ms']:.1f} ms")
    verdict.expect(late["p99"] <= before["late_ms"]["p99"] + LATER_MS_MAX,
                   f"{name}: deliveries' p99 {late['p99']:.1f} ms late, without {before['late_ms']['p99']:.1f} ms")


def judge_crowd(verdict, name, crowd, result, growth):
    verdict.count("connections", result["members"])
    verdict.expect(result["members"] > 0, f"{name}: void: {result}")
    verdict.expect(growth <= GROWTH_MIB_MAX or is_sanitized(), f"{name}: resident memory grew by {growth:.0f} MiB")
    if crowd.limit_s and result["members"]:
        verdict.expect(result["ended"] == result["members"],
            f"{name}: {result['members'] - result['ended']} were never ended")
        verdict.expect(result["longest_s"] <= crowd.limit_s + CUT_S_MAX,
            f"{name}: one lasted {result['longest_s']:.1f} s")


def run_crowd(verdict, service, token, port, name, crowd, members):
    """Lasts until all were ended, for a limitless kind 6 s."""
    members = min(members, crowd.members or members)
    seconds = crowd.limit_s + 8 if crowd.limit_s else 6
    resident, peak = resident_mib(service.pid), 0.0
    pipe, theirs = FORK.Pipe()
    process = FORK.Process(target=crowd_process, args=(crowd, service.address, members, seconds, FORK.Event(), theirs))

    def during():
        nonlocal peak
        process.start()
        while not pipe.poll(0.25):
            peak = max(peak, resident_mib(service.pid))
        return pipe.recv()
    result, figures = measure(service, token, port, during)
    process.join(10)
    growth = max(peak - resident, 0.0)
    good, late = figures["good"], figures["late_ms"]
    verdict.say(f"{result['members']} {name}: ended {result.get('ended')}, longest {result.get('longest_s', 0):.1f} s, "
                f"{result.get('answers')}; good p50 {good['p50_ms']:.1f} p99 {good['p99_ms']:.1f} max "
                f"{good['max_ms']:.0f} ms; deliveries p99 {late['p99']:.1f} ms late; +{growth:.0f} MiB")
    judge_crowd(verdict, name, crowd, result, growth)
    verdict.found[name] = {"good_p99_ms": round(figures["good"]["p99_ms"], 1),
        "late_p99_ms": round(figures["late_ms"]["p99"], 1),
                           "longest_s": round(result.get("longest_s", 0), 1), "grew_mib": round(growth)}
    return figures


# ---- too few descriptors ----

class NarrowService(Service):
    """A service that the system gives few descriptors."""

    def __init__(self, descriptors, **more):
        super().__init__(**more)
        self.descriptors = descriptors

    def command(self, *more):
        return ["prlimit", f"--nofile={self.descriptors}:{self.descriptors}", *super().command(*more)]


def judge_descriptors(verdict):
    """Beyond its places the longest idle make room; without any descriptor accept waits and does not spin."""
    with NarrowService(200) as service:
        token = service.create_user("narrow")
        service.start()
        idle = [socket.create_connection(service.address) for _ in range(300)]
        with Raw(service.address) as raw:
            raw.send(head("GET", "/api/v1/", [("Host", "x"), ("Authorization", f"Token {token}")]))
            verdict.expect(raw.read().status == 200,
                "a newcomer is not served beside more idle clients than there are places")
        subprocess.run(["prlimit", f"--pid={service.pid}", "--nofile=20:"], check=True)
        waiting = [socket.create_connection(service.address) for _ in range(100)]
        begun = cpu_s(service.pid)
        until(lambda: any(entry.get("event") == "accept_failed" for entry in service.log()), what="a refused accept")
        time.sleep(1)
        spent = cpu_s(service.pid) - begun
        verdict.found["cpu_s_without_descriptors"] = round(spent, 2)
        verdict.expect(spent < 0.5, f"accept without descriptors spins: {spent} s of CPU in a second")
        subprocess.run(["prlimit", f"--pid={service.pid}", "--nofile=200:"], check=True)
        for sock in idle + waiting:
            sock.close()
        with Raw(service.address) as raw:
            raw.send(head("GET", "/api/v1/", [("Host", "x"), ("Authorization", f"Token {token}")]))
            verdict.expect(raw.read().status == 200, "nobody is served after the descriptors came back")
        verdict.count("connections beyond the descriptors", 400)


def baseline(service, token, port, seconds, pause=time.sleep):
    return measure(service, token, port, lambda: pause(seconds))[1]


def worse(first, second):
    """The same machine serves others: what it does to the figures before and after a crowd is not the crowd's doing."""
    return {"good": max(first["good"], second["good"], key=lambda good: good["p99_ms"]),
            "late_ms": max(first["late_ms"], second["late_ms"], key=lambda late: late["p99"])}


def make_schedules(service, token, port):
    """Made over a second, so that their instants are spread over every second."""
    api, begun = service.api(token), time.monotonic()
    for n in range(DELIVERIES_PER_S):
        time.sleep(max(0.0, begun + n / DELIVERIES_PER_S - time.monotonic()))
        api.create(endpoint=f"http://127.0.0.1:{port}/{n}", interval_definition="1 seconds")
    api.close()


def run(verdict, budget, seed, names=None, baseline_s=4):
    """`budget`: members of a crowd; a list of `names` runs those crowds alone."""
    del seed    # nothing here is drawn
    with tempfile.TemporaryDirectory() as folder, Service() as service:
        receiver, port = start_receiver(folder)
        try:
            token = service.create_user("slow")
            service.start()
            make_schedules(service, token, port)
            until(lambda: report(port)["count"] > DELIVERIES_PER_S, what="the first deliveries")
            before = baseline(service, token, port, baseline_s)
            for name, crowd in crowds(token).items():
                if names is not None and name not in names:
                    continue
                figures = run_crowd(verdict, service, token, port, name, crowd, budget)
                after = baseline(service, token, port, baseline_s)
                judge_others(verdict, name, figures, worse(before, after))
                before = after
                verdict.count("deliveries", figures["deliveries"])
        finally:
            receiver.terminate()
            receiver.wait(10)
    judge_descriptors(verdict)
    verdict.found["binary"] = pathlib.Path(BINARY).name
    verdict.least("deliveries", 5 * DELIVERIES_PER_S)
