#!/usr/bin/env python3
# SPDX-License-Identifier: BSD-3-Clause
"""The endpoints of the soak: several hosts on loopback in one light process, some of whose answers are bad.

    python3 tests/e2e/soak_receiver.py --hosts 10 --faults 0.05 --seed 1

Prints its port. Every host 127.0.1.n listens on it. Of the requests a share is not answered, answered 503, cut off or
answered late; a path that begins with /dead is always answered 500. `GET /report` tells, and forgets, how late first
attempts were since the last report; totals stay: run ids answered 2xx, and those that came again after a 2xx.
"""
import argparse
import asyncio
import datetime
import json
import random
import socket
import time

EPOCH = datetime.datetime(1970, 1, 1, tzinfo=datetime.timezone.utc)
SLOW_S = (0.2, 1.0)
FAULTS = ("hang", "unavailable", "reset", "slow")
OK = b"HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n"


class Book:
    """What arrived."""

    def __init__(self, faults, seed):
        self.random = random.Random(seed)
        self.faults = faults
        self.delivered = set()
        self.one_shots = set()
        self.totals = {"requests": 0, "duplicates": 0, "early": 0, "dead": 0, **{fault: 0 for fault in FAULTS}}
        self.lateness_us = []

    def report(self):
        late, self.lateness_us = sorted(self.lateness_us), []

        def share(part):
            return late[int((len(late) - 1) * part)] if late else 0
        return {**self.totals, "delivered": len(self.delivered), "one_shots": len(self.one_shots), "window": len(late),
                "p50_us": share(0.5), "p99_us": share(0.99), "max_us": share(1.0)}

    def note(self, path, headers):
        """Records one callback and says how it is answered."""
        now_us = time.time_ns() // 1000
        run = int(headers["idempotency-key"].strip('"').replace("-", ""), 16) & (1 << 61) - 1
        self.totals["requests"] += 1
        if headers["seed-attempt"] == "1":
            planned = datetime.datetime.fromisoformat(headers["seed-planned-at"].replace("Z", "+00:00"))
            late_us = now_us - (planned - EPOCH) // datetime.timedelta(microseconds=1)
            self.lateness_us.append(late_us)
            self.totals["early"] += late_us < 0
        if run in self.delivered:
            self.totals["duplicates"] += 1
        if path.startswith("/dead"):
            self.totals["dead"] += 1
            return "dead"
        answer = self.random.choice(FAULTS) if self.random.random() < self.faults else "ok"
        if answer != "ok":
            self.totals[answer] += 1
        if answer in ("ok", "slow"):
            self.delivered.add(run)
            if path.startswith("/once"):
                self.one_shots.add(run)
        return answer


class Endpoint(asyncio.Protocol):
    """One connection; requests come one after the other."""

    def __init__(self, book):
        self.book = book
        self.buffer = b""
        self.transport = None

    def connection_made(self, transport):
        self.transport = transport

    def data_received(self, data):
        self.buffer += data
        while True:
            end = self.buffer.find(b"\r\n\r\n")
            if end < 0:
                return
            lines = self.buffer[:end].decode("latin-1").split("\r\n")
            headers = {name.lower(): value.strip() for name, value in (line.split(":", 1) for line in lines[1:])}
            whole = end + 4 + int(headers.get("content-length", 0))
            if len(self.buffer) < whole:
                return
            self.buffer = self.buffer[whole:]
            self.answer(lines[0].split(" ")[1], headers)

    def answer(self, path, headers):
        if path == "/report":
            body = json.dumps(self.book.report()).encode()
            self.transport.write(b"HTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\n%s" % (len(body), body))
            return
        kind = self.book.note(path, headers)
        if kind == "ok":
            self.transport.write(OK)
        elif kind == "slow":
            asyncio.get_running_loop().call_later(self.book.random.uniform(*SLOW_S), self.transport.write, OK)
        elif kind == "reset":
            self.transport.get_extra_info("socket").setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, b"\1\0\0\0\0\0\0\0")
            self.transport.abort()
        elif kind != "hang":
            code = b"503" if kind == "unavailable" else b"500"
            self.transport.write(b"HTTP/1.1 %s Scripted\r\nContent-Length: 0\r\n\r\n" % code)


async def serve(options):
    book = Book(options.faults, options.seed)
    loop = asyncio.get_running_loop()
    first = socket.create_server(("127.0.1.1", 0), backlog=1024)
    port = first.getsockname()[1]
    sockets = [first] + [socket.create_server((f"127.0.1.{n}", port), backlog=1024) for n in range(2, options.hosts + 1)]
    servers = [await loop.create_server(lambda: Endpoint(book), sock=sock) for sock in sockets]
    print(port, flush=True)
    await asyncio.gather(*(server.serve_forever() for server in servers))


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--hosts", type=int, default=10)
    parser.add_argument("--faults", type=float, default=0.05)
    parser.add_argument("--seed", type=int, default=1)
    asyncio.run(serve(parser.parse_args()))


if __name__ == "__main__":
    main()
