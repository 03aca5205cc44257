# SPDX-License-Identifier: BSD-3-Clause
"""Sizes (T36): each limit is met and passed by one byte, pipelines come back in order, random bytes end nothing.

A refusal is one answer and the end of the connection; it must come without waiting for what will never be read.
"""
import random
import select
import socket
import time

from harness.client import Raw, head
from harness.service import Service

PATH = "/api/v1/schedule/"
TARGET_MAX = 4096           # the limits of src/http/server.c
HEADER_MAX = 8192           # one line: name, colon, blank, value
HEAD_MAX = 16384            # all lines with their ends
HEADERS_MAX = 64
BODY_MAX = 4 << 20
PIPELINED = 1000
REFUSAL_S_MAX = 5           # far below every deadline
AT_ONCE = 100
GOOD = b'{"endpoint":"http://example.org/","enabled":false}'


def plain(token, *lines, target="/api/health/"):
    return head("GET", target, [("Host", "x"), ("Authorization", f"Token {token}"), *lines])


def padded_target(number):
    return "/api/health/?" + "a" * (number - len("/api/health/?"))


def header_of(number):
    """A header line of that many bytes without its end."""
    return "X-A", "a" * (number - len("X-A: "))


def headers_filling(token, number):
    """All header lines together, their ends included, have that many bytes."""
    rest = number - len(plain(token)) + len("GET /api/health/ HTTP/1.1\r\n") + 2
    lines = []
    while rest > 0:
        size = rest - 2 if rest <= 8000 else 7000
        lines.append(header_of(size))
        rest -= size + 2
    return plain(token, *lines)


def post(token, lines, body=b""):
    return head("POST", PATH, [("Host", "x"), ("Authorization", f"Token {token}"),
                               ("Content-Type", "application/json"), *lines]) + body


def with_length(token, number):
    return post(token, [("Content-Length", number)], GOOD + b" " * (number - len(GOOD)))


def chunked(token, number):
    body = GOOD + b" " * (number - len(GOOD))
    pieces = b"".join(b"%x\r\n%s\r\n" % (len(body[i:i + 60_000]), body[i:i + 60_000]) for i in range(0, number, 60_000))
    return post(token, [("Transfer-Encoding", "chunked")], pieces + b"0\r\n\r\n")


# name, bytes, status: 200 and 201 leave the connection open, the others end it
LIMITS = [
    ("the longest target", lambda t: plain(t, target=padded_target(TARGET_MAX)), 200),
    ("a target of 4,097 bytes", lambda t: plain(t, target=padded_target(TARGET_MAX + 1)), 414),
    ("a target without an end", lambda t: b"GET /" + b"a" * 100_000, 414),
    ("a method without an end", lambda t: b"G" * 100_000, 414),
    ("the longest header", lambda t: plain(t, header_of(HEADER_MAX)), 200),
    ("a header of 8,193 bytes", lambda t: plain(t, header_of(HEADER_MAX + 1)), 431),
    ("a header of 16,385 bytes", lambda t: plain(t, header_of(HEAD_MAX + 1)), 431),
    ("a header without an end", lambda t: plain(t)[:-2] + b"X-A: " + b"a" * 100_000, 431),
    ("a name without an end", lambda t: plain(t)[:-2] + b"X" * 100_000, 431),
    ("the largest head", lambda t: headers_filling(t, HEAD_MAX), 200),
    ("a head of one byte more", lambda t: headers_filling(t, HEAD_MAX + 1), 431),
    ("as many headers as there may be", lambda t: plain(t, *[("X-A", "b")] * (HEADERS_MAX - 2)), 200),
    ("one header more", lambda t: plain(t, *[("X-A", "b")] * (HEADERS_MAX - 1)), 431),
    ("101 headers", lambda t: plain(t, *[("X-A", "b")] * 99), 431),
    ("headers without end", lambda t: plain(t)[:-2] + b"X-A: b\r\n" * 20_000, 431),
    ("the largest body", lambda t: with_length(t, BODY_MAX), 201),
    ("a body of one byte more", lambda t: with_length(t, BODY_MAX + 1), 413),
    ("a length of one byte more, and no body", lambda t: post(t, [("Content-Length", BODY_MAX + 1)]), 413),
    ("a length of 10^18, and no body", lambda t: post(t, [("Content-Length", 10 ** 18)]), 413),
    ("10^18 and 100-continue", lambda t: post(t, [("Content-Length", 10 ** 18), ("Expect", "100-continue")]), 413),
    ("the largest body in chunks", lambda t: chunked(t, BODY_MAX), 201),
    ("one byte more in chunks", lambda t: chunked(t, BODY_MAX + 1), 413),
    ("a chunk of 10^18, and no data", lambda t: post(t, [("Transfer-Encoding", "chunked")], b"de0b6b3a7640000\r\n"),
        413),
    ("a body without a length", lambda t: post(t, [], b"{}\r\n"), 400),
    ("a stranger's body beyond 64 KiB",
     lambda t: head("POST", "/api/token-auth/", [("Host", "x"), ("Content-Type", "application/json"),
                                                 ("Content-Length", 70_000)]) + b" " * 70_000, "413 and open"),
]


def judge_limits(verdict, service, token):
    for name, build, expected in LIMITS:
        with Raw(service.address) as raw:
            begun = time.monotonic()
            raw.send_quietly(build(token))
            answer = raw.read()
            if name == "a body without a length":       # the request without its body, then what cannot be one
                verdict.expect(answer.status == 400 and b"endpoint" in answer.body, f"{name}: {answer!r}")
                answer = raw.read()
            took = time.monotonic() - begun
            verdict.count("limits")
            verdict.expect(answer.status == int(str(expected)[:3]), f"{name}: {answer.status} instead of {expected}")
            verdict.expect(took <= REFUSAL_S_MAX, f"{name}: the answer took {took:.1f} s")
            if answer.status < 300 or expected == "413 and open":
                raw.send(plain(token))
                verdict.expect(raw.read().status == 200, f"{name}: the connection did not go on")
            else:
                verdict.expect(raw.rest() == b"", f"{name}: something follows the refusal")


def judge_pipeline(verdict, service, token):
    """In one packet, as far as the kernel goes along; reads, writes and refusals in turn."""
    parts, expected = [], []
    for number in range(PIPELINED):
        if number % 10 == 9:
            body = b'{"endpoint":"http://example.org/%d","enabled":false}' % number
            parts.append(post(token, [("Content-Length", len(body))], body))
        else:
            parts.append(plain(token, target=f"/api/v1/failed-tasks/?limit=1&offset={number + 1}"))
    with Raw(service.address, timeout=60) as raw:
        raw.send(b"".join(parts))
        for number in range(PIPELINED):
            answer = raw.read()
            mark = f"http://example.org/{number}" if number % 10 == 9 else f"offset={number}" if number else "limit=1"
            expected.append(mark.encode() in answer.body)
            verdict.count("pipelined")
    verdict.expect(all(expected),
        f"{expected.count(False)} of {PIPELINED} pipelined requests were answered out of turn")


def random_bytes(rng, token):
    """Noise, noise behind a good beginning, a good request with a few bytes wrong, a good one that breaks off."""
    good = rng.choice([plain(token), with_length(token, 100), chunked(token, 100), plain("0" * 40)])
    kind = rng.randrange(5)
    if kind == 0:
        return rng.randbytes(rng.randint(1, 400))
    if kind == 1:
        return good[:rng.randint(0, len(good))] + rng.randbytes(rng.randint(1, 200))
    if kind == 2:
        return good[:rng.randint(1, len(good) - 1)]
    if kind == 3:
        return good + good[rng.randint(0, len(good)):] * 3
    data = bytearray(good)
    for _ in range(rng.randint(1, 4)):
        data[rng.randrange(len(data))] = rng.choice([0, 10, 13, 32, 58, 255, rng.randrange(256)])
    return bytes(data)


def judge_random(verdict, service, token, budget, rng):
    """Many at once; one in four is reset before its answer. Whatever comes back starts as HTTP."""
    for start in range(0, budget, AT_ONCE):
        number = min(AT_ONCE, budget - start)
        batch = []
        for _ in range(number):
            sock = socket.socket()
            sock.bind((f"127.0.0.{rng.randint(2, 250)}", 0))
            sock.connect(service.address)
            if rng.random() < 0.25:
                sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, b"\x01\x00\x00\x00\x00\x00\x00\x00")
            batch.append(sock)
            data = random_bytes(rng, token)
            verdict.count("random bytes", len(data))
            try:
                sock.send(data)
            except OSError:
                verdict.count("random connections cut while sending")
        ready, _, _ = select.select(batch, [], [], 0.05)
        for sock in ready:
            try:
                data = sock.recv(9)
                verdict.expect(data in (b"", b"HTTP/1.1 "), f"an answer that starts with {data!r}")
                verdict.count("random connections answered" if data else "random connections closed")
            except OSError:
                verdict.count("random connections reset")
        for sock in batch:
            sock.close()
        verdict.count("random connections", number)
        if start % (100 * AT_ONCE) == 0:
            verdict.say(f"{start} of {budget} connections of random bytes")
            with Raw(service.address) as raw:
                raw.send(plain(token))
                verdict.expect(raw.read().status == 200, f"after {start} random connections a good request fails")


def run(verdict, budget, seed):
    rng = random.Random(seed)
    with Service() as service:
        token = service.create_user("sizes")
        service.start()
        verdict.say(f"{len(LIMITS)} limits")
        judge_limits(verdict, service, token)
        judge_pipeline(verdict, service, token)
        judge_random(verdict, service, token, budget, rng)
        verdict.expect(service.process.child.poll() is None, "the service has ended")
    verdict.least("limits", len(LIMITS))
    verdict.least("pipelined", PIPELINED)
    verdict.least("random connections", budget)
