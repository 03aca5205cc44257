# SPDX-License-Identifier: BSD-3-Clause
"""A scriptable HTTP receiver: it records every request and answers as told, per path.

A script is a list of answers for one path; the last one repeats. An answer is a function of the connection that sends
something (or nothing) and says whether the connection may be kept: see `status`, `hang`, `reset`, `drip` and the rest.
As a command (`python3 -m harness.receiver --log FILE`) it answers 200 after a small random delay and appends one JSON
line per request to FILE, so that what arrived outlives whoever is being killed.
"""
import argparse
import json
import random
import socket
import struct
import sys
import threading
import time
from urllib.parse import urlsplit


class Request:
    """One request as it arrived. `at` is the wall-clock instant (s) of its first byte."""

    def __init__(self, at, connection, method, target, headers, body):
        self.at = at
        self.connection = connection
        self.method = method
        self.target = target
        self.path = urlsplit(target).path
        self.headers = headers
        self.body = body
        self.answered = False

    def header(self, name, default=None):
        values = [value for key, value in self.headers if key.lower() == name.lower()]
        assert len(values) <= 1, f"{name} sent {len(values)} times"
        return values[0] if values else default

    def json(self):
        return json.loads(self.body)

    @property
    def run_id(self):
        return self.header("Idempotency-Key", "").strip('"')

    @property
    def attempt(self):
        return int(self.header("Seed-Attempt"))

    def __repr__(self):
        return f"<{self.method} {self.target} {self.headers} {self.body[:200]!r}>"


class Connection:
    """The receiver's side of one TCP connection, handed to the answers."""

    def __init__(self, receiver, sock, number):
        self.receiver = receiver
        self.socket = sock
        self.number = number
        self.buffer = b""

    def send(self, data):
        self.socket.sendall(data)

    def pause(self, seconds):
        """Waits, but not longer than the receiver lives or the peer stays. True when the time is over."""
        return not self.receiver.stopping.wait(seconds)

    def _fill(self):
        data = self.socket.recv(65536)
        self.buffer += data
        return bool(data)

    def read_request(self):
        if not self.buffer and not self._fill():
            return None
        at = time.time()
        while b"\r\n\r\n" not in self.buffer:
            if not self._fill():
                return None
        top, self.buffer = self.buffer.split(b"\r\n\r\n", 1)
        lines = top.decode("latin-1").split("\r\n")
        method, target, _ = lines[0].split(" ")
        headers = [tuple(part.strip() for part in line.split(":", 1)) for line in lines[1:]]
        length = sum(int(value) for name, value in headers if name.lower() == "content-length")
        while len(self.buffer) < length:
            if not self._fill():
                return None
        body, self.buffer = self.buffer[:length], self.buffer[length:]
        return Request(at, self.number, method, target, headers, body)


# ---- answers: each returns a function (connection, request) -> may the connection be kept? ----

def status(code, body=b"", headers=()):
    def answer(connection, _):
        lines = [f"HTTP/1.1 {code} Scripted"] + [f"{name}: {value}" for name, value in headers]
        if code != 204:
            lines.append(f"Content-Length: {len(body)}")
        connection.send("\r\n".join(lines).encode() + b"\r\n\r\n" + body)
        return True
    return answer


def redirect(location, code=302):
    return status(code, headers=(("Location", location),))


def retry_after(seconds, code=503):
    return status(code, headers=(("Retry-After", seconds),))


def delay(seconds, then=None):
    def answer(connection, request):
        return connection.pause(seconds) and (then or status(200))(connection, request)
    return answer


def gate(event, then=None):
    """Answers when the test sets `event`."""
    def answer(connection, request):
        while not event.wait(0.05):
            if connection.receiver.stopping.is_set():
                return False
        return (then or status(200))(connection, request)
    return answer


def hang():
    def answer(connection, _):
        connection.receiver.stopping.wait()
        return False
    return answer


def reset():
    def answer(connection, _):
        connection.socket.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        return False
    return answer


def close():
    return lambda connection, request: False


def raw(data, keep=False):
    """Any bytes at all: garbage, a bad version, half a head."""
    def answer(connection, _):
        connection.send(data)
        return keep
    return answer


def garbage():
    return raw(b"\x00\xff\x16\x03\x01 not HTTP at all\r\n\r\n")


def drip(interval=0.2, data=b"HTTP/1.1 200 OK\r\nContent-Length: 1000000\r\n\r\n" + b"x" * 1000000):
    """One byte at a time, for as long as the peer listens."""
    def answer(connection, _):
        for index in range(len(data)):
            connection.send(data[index:index + 1])
            if not connection.pause(interval):
                break
        return False
    return answer


def endless():
    """A 200 whose body never ends."""
    def answer(connection, _):
        connection.send(b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n")
        while not connection.receiver.stopping.is_set():
            connection.send(b"4000\r\n" + b"e" * 0x4000 + b"\r\n")
        return False
    return answer


class Receiver:
    """The listener, its scripts and its record. Use as a context manager."""

    def __init__(self, default=None, on_request=None, address="127.0.0.1"):
        self.default = default or status(200)
        self.on_request = on_request
        self.scripts = {}
        self.requests = []
        self.connections = 0
        self.changed = threading.Condition()
        self.stopping = threading.Event()
        self.open = set()
        self.listener = socket.create_server((address, 0), backlog=1024)
        self.address = self.listener.getsockname()[:2]
        threading.Thread(target=self._accept, daemon=True).start()

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.stop()

    @property
    def port(self):
        return self.address[1]

    def url(self, path="/"):
        return f"http://{self.address[0]}:{self.address[1]}{path}"

    def script(self, path, *answers):
        """From now on `path` is answered by these, one request each; the last repeats."""
        with self.changed:
            self.scripts[path] = list(answers)
        return self.url(path)

    def stop(self):
        self.stopping.set()
        try:
            self.listener.shutdown(socket.SHUT_RDWR)
        except OSError:
            pass
        self.listener.close()
        with self.changed:
            for sock in self.open:
                try:
                    sock.shutdown(socket.SHUT_RDWR)
                except OSError:
                    pass

    def _accept(self):
        while not self.stopping.is_set():
            try:
                sock, _ = self.listener.accept()
            except OSError:
                return
            sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            with self.changed:
                self.connections += 1
                number = self.connections
                self.open.add(sock)
            threading.Thread(target=self._serve, args=(Connection(self, sock, number),), daemon=True).start()

    def _next_answer(self, path):
        script = self.scripts.get(path)
        if not script:
            return self.default
        return script.pop(0) if len(script) > 1 else script[0]

    def _serve(self, connection):
        try:
            while True:
                request = connection.read_request()
                if request is None:
                    break
                with self.changed:
                    self.requests.append(request)
                    answer = self._next_answer(request.path)
                    if self.on_request:
                        self.on_request(request)
                    self.changed.notify_all()
                keep = answer(connection, request)
                with self.changed:
                    request.answered = True
                    self.changed.notify_all()
                if not keep:
                    break
        except OSError:
            pass
        finally:
            with self.changed:
                self.open.discard(connection.socket)
            connection.socket.close()

    def seen(self, path=None, select=None):
        with self.changed:
            return [r for r in self.requests if (path is None or r.path == path) and (select is None or select(r))]

    def wait_for(self, count, path=None, timeout=10.0, select=None):
        """Waits until `count` requests for `path` (that `select` accepts) have arrived, and returns them all."""
        deadline = time.monotonic() + timeout
        with self.changed:
            while True:
                found = [r for r in self.requests
                         if (path is None or r.path == path) and (select is None or select(r))]
                if len(found) >= count:
                    return found
                left = deadline - time.monotonic()
                assert left > 0, f"{len(found)} of {count} requests for {path} within {timeout} s"
                self.changed.wait(left)


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--log", required=True)
    parser.add_argument("--delay-max", type=float, default=0.02)
    options = parser.parse_args()
    with open(options.log, "a", encoding="utf-8") as log:
        def record(request):
            log.write(json.dumps({"at": request.at, "path": request.path, "run_id": request.run_id,
                                  "attempt": request.header("Seed-Attempt"),
                                  "schedule": request.header("Seed-Schedule-Id"),
                                  "planned": request.header("Seed-Planned-At"),
                                  "body": request.body.decode("utf-8", "replace")}) + "\n")
            log.flush()

        def answer(connection, request):
            return delay(random.random() * options.delay_max)(connection, request)
        receiver = Receiver(default=answer, on_request=record)
        print(receiver.port, flush=True)
        sys.stdin.read()
        receiver.stop()


if __name__ == "__main__":
    main()
