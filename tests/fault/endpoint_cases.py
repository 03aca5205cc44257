# SPDX-License-Identifier: BSD-3-Clause
"""What endpoints do wrong, and what the service has to make of it: the table behind docs/design/outcomes.md.

A case says what the endpoint does (scripts of steps, one per request, the last repeats), which outcome class, status and
words the attempt ends with, and when the next attempt may come (seconds after the end of the first; OVER: never). HUNG
cases must last as long as an attempt may, and not longer.
"""
import dataclasses
import email.utils
import random
import ssl
import time

from . import name_server as names
from .endpoint import answer, begun, drip, hang, keep, pour, reset, reset_now, say, stall, unread, vanish, wait

OWN = (0, 5)            # the service's own first wait: full jitter below 5 s
CAP = 300               # no wait is longer (retry.h)
OVER = None
MEBIBYTE = 1 << 20
HUGE = 64 * MEBIBYTE
OK = b"HTTP/1.1 200 OK\r\n"
EMPTY = b"Content-Length: 0\r\n\r\n"
CHUNKED = OK + b"Transfer-Encoding: chunked\r\n\r\n"
CONTINUE = b"HTTP/1.1 100 Continue\r\n\r\n"


@dataclasses.dataclass(frozen=True)
class Case:
    name: str
    scripts: tuple = ()
    outcome: str = "delivered"
    status: int = None
    says: str = None            # the log line's detail
    next: tuple = OWN
    then: tuple = ()            # (outcome, status) of the second attempt and so on; the last, or the first, repeats
    is_hung: bool = False
    is_warm: bool = False       # the first script answers another schedule's request, so that a connection is idle
    on_fresh: bool = None       # of a warm case: did the request come on another connection?
    read: int = 1               # requests the endpoint has read when the first attempt is over
    poured: int = 0             # the endpoint offers so many bytes; the service takes no more than a mebibyte of them
    payload_n: int = 0
    place: str = None           # the endpoint's own "..._port": a port without a script
    tls: dict = None            # arguments of Certificates.context
    host: str = None            # as in the URL; for TLS and DNS cases a name of their own unless given
    dns: object = None          # a script of the name server
    hole: str = None            # the same port on this address is a black hole
    answer_begins: bytes = None  # of the kept answer, as the failed task shows it


def of(name, *steps, **more):
    """A case whose endpoint does the same each time."""
    return Case(name, (steps,), **more)


def http(name, status, *fields, **more):
    more.setdefault("outcome", "delivered" if 200 <= status <= 299 else "http_error")
    return of(name, answer(status, *fields), keep, status=status, **more)


def raw(name, data, **more):
    """The endpoint says exactly these bytes and closes."""
    more.setdefault("outcome", "protocol")
    return of(name, say(data), **more)


def retry_after(value, low, high, status=503):
    return http(f"{status}, Retry-After: {value}", status, f"Retry-After: {value}", next=(low, high))


def retry_at(name, offset_s, low, high):
    async def step(talk):
        date = email.utils.formatdate(time.time() + offset_s, usegmt=True)
        await answer(503, f"Retry-After: {date}")(talk)
    return of(name, step, keep, outcome="http_error", status=503, next=(low, high))


def tls(name, *steps, outcome="tls", read=0, **more):
    return of(name, *(steps or (answer(200), keep)), outcome=outcome, read=read, **more)


def dns(name, script, outcome="dns", **more):
    return of(name, answer(200), keep, dns=script, outcome=outcome, read=int(outcome == "delivered"), **more)


CONNECTION = [
    Case("connection refused", place="refusing", outcome="connect", says="connection refused", read=0),
    Case("SYN into a black hole", place="blackhole", outcome="timeout", says="no connection in time", is_hung=True, read=0),
    Case("accepted by the kernel, never by the program", place="silent", outcome="timeout", says="no answer in time",
         is_hung=True, read=0),
    of("reads the request, never answers", hang, outcome="timeout", says="no answer in time", is_hung=True),
    of("a large request is not taken", unread, stall, outcome="timeout", is_hung=True, read=0,
       payload_n=3 * MEBIBYTE),
    of("RST on connect", unread, reset, outcome="reset", read=0),
    of("RST after the request", reset, outcome="reset", says="connection reset"),
    of("RST in the head", say(b"HTTP/1.1 200 O"), reset, outcome="reset"),
    of("RST between head and body", say(OK + b"Content-Length: 9\r\n\r\n"), reset, outcome="reset"),
    of("RST in the body", say(OK + b"Content-Length: 9\r\n\r\nfour"), reset, outcome="reset"),
    of("RST after a whole answer", answer(200, body=b"whole"), reset, status=200),
    of("FIN on connect", unread, outcome="reset", read=0),
    of("FIN after the request", wait(0.01), outcome="reset", says="closed without an answer"),
    of("FIN in the head", say(OK + b"Content-Le"), outcome="reset", says="closed before the end of the answer"),
    of("FIN in the body", say(OK + b"Content-Length: 9\r\n\r\nfour"), outcome="reset"),
    of("FIN in a chunk", say(CHUNKED + b"9\r\nfour"), outcome="reset"),
    of("FIN before the last chunk", say(CHUNKED + b"4\r\nfour\r\n"), outcome="reset"),
    of("head, one byte at a time", drip(OK + EMPTY, 0.5), outcome="timeout", is_hung=True),
    of("body, one byte at a time", say(OK + b"Content-Length: 1000\r\n\r\n"), drip(b"x" * 1000, 0.5), outcome="timeout",
       is_hung=True),
    of("chunks, one byte at a time", say(CHUNKED), drip(b"1\r\nx\r\n" * 200, 0.1), outcome="timeout", is_hung=True),
    of("interim answers for ever", drip(b"".join([b"HTTP/1.1 102 Processing\r\n\r\n"] * 9), 0.1), hang, outcome="timeout",
       is_hung=True),
    of("answers before it has read a large request, and closes", unread, begun, answer(413), wait(0.05), reset,
       outcome="http_error", status=413, read=0, payload_n=3 * MEBIBYTE),
    of("refuses a large request unread, and resets at once", unread, begun, answer(410), reset_now, outcome="http_error",
       status=410, read=0, payload_n=3 * MEBIBYTE, next=OVER),
    of("slow but in time", wait(0.3), answer(200), keep, status=200),
]

BODY = [
    of("64 MiB with a length", say(OK + b"Content-Length: %d\r\n\r\n" % HUGE), pour(HUGE), status=200, poured=HUGE),
    of("64 MiB in chunks", say(CHUNKED), pour(HUGE, lambda piece: b"%x\r\n%b\r\n" % (len(piece), piece)), status=200,
       poured=HUGE),
    of("64 MiB until closed", say(OK + b"\r\n"), pour(HUGE), status=200, poured=HUGE),
    of("64 MiB of a 500", say(b"HTTP/1.1 500 No\r\nContent-Length: %d\r\n\r\n" % HUGE), pour(HUGE), status=500,
       outcome="http_error", poured=HUGE, answer_begins=b"xxxx"),
    of("a length of 2^62", say(OK + b"Content-Length: 4611686018427387904\r\n\r\n"), pour(HUGE), status=200, poured=HUGE),
    of("a chunk of 2^62", say(CHUNKED + b"4000000000000000\r\n"), pour(HUGE), status=200, poured=HUGE),
    of("one-byte chunks, 1 MiB of them", say(CHUNKED), pour(MEBIBYTE, lambda _: b"1\r\nx\r\n" * 2730), status=200),
    of("gzip, unasked", say(b"HTTP/1.1 500 No\r\nContent-Encoding: gzip\r\nContent-Length: 5\r\n\r\n\x1f\x8b\x08\0\0"),
       keep, outcome="http_error", status=500, answer_begins=b"\x1f"),
    of("a length that is too short", say(OK + b"Content-Length: 2\r\n\r\nokay, and more"), keep, status=200),
    of("a length that is too long", say(OK + b"Content-Length: 20\r\n\r\nokay"), outcome="reset"),
    of("a length that is too long, and waits", say(OK + b"Content-Length: 20\r\n\r\nokay"), hang, outcome="timeout",
       is_hung=True),
    of("until closed", say(OK + b"\r\nokay"), status=200),
    of("HTTP/1.0", say(b"HTTP/1.0 200 OK\r\n\r\nokay"), status=200),
    of("chunk extensions and trailers", say(CHUNKED + b"2;a=b\r\nok\r\n0\r\nX-T: 1\r\n\r\n"), keep, status=200),
    of("204 with a length", say(b"HTTP/1.1 204 None\r\nContent-Length: 5\r\n\r\n"), keep, status=204),
    raw("negative length", OK + b"Content-Length: -1\r\n\r\n"),
    raw("length beyond 64 bits", OK + b"Content-Length: 99999999999999999999\r\n\r\n"),
    raw("length in hexadecimal", OK + b"Content-Length: 0x10\r\n\r\n"),
    raw("two different lengths", OK + b"Content-Length: 1\r\nContent-Length: 2\r\n\r\nab"),
    raw("length beside chunked", OK + b"Content-Length: 5\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n"),
    raw("Transfer-Encoding: gzip", OK + b"Transfer-Encoding: gzip\r\n\r\n\x1f\x8b"),
    raw("chunk size that is none", CHUNKED + b"zz\r\nok\r\n0\r\n\r\n"),
    raw("chunk size beyond 64 bits", CHUNKED + b"fffffffffffffffff\r\nok\r\n"),
    raw("chunk longer than its size", CHUNKED + b"2\r\nokay\r\n0\r\n\r\n"),
]

HEAD = [
    raw("head of 1 MiB", OK + b"X-A: " + b"a" * MEBIBYTE + b"\r\n\r\n", says="the answer's head is too large"),
    raw("10,000 headers", OK + b"X-A: a\r\n" * 10000 + EMPTY, says="the answer's head is too large"),
    raw("head of 15 KiB", OK + b"X-A: " + b"a" * 15000 + b"\r\n" + EMPTY, outcome="delivered", status=200),
    raw("100 times 100 Continue", CONTINUE * 100 + OK + EMPTY, says="too many interim answers"),
    raw("10 times 100 Continue", CONTINUE * 10 + OK + EMPTY, outcome="delivered", status=200),
    raw("103 Early Hints", b"HTTP/1.1 103 Early Hints\r\nLink: </x>\r\n\r\n" + OK + EMPTY, outcome="delivered", status=200),
    raw("101 Switching Protocols", b"HTTP/1.1 101 Go\r\nUpgrade: x\r\nConnection: upgrade\r\n\r\n"),
    raw("HTTP/0.9", b"<html>hello</html>\n"),
    raw("HTTP/2.0 in words", b"HTTP/2.0 200 OK\r\n" + EMPTY),
    raw("HTTP/2 frames", b"\0\0\x12\x04\0\0\0\0\0" + bytes(18)),
    raw("HTTP/1.2", b"HTTP/1.2 200 OK\r\n" + EMPTY),
    raw("another protocol's greeting", b"SSH-2.0-OpenSSH_9.2\r\n"),
    raw("a TLS alert in the clear", b"\x15\x03\x01\0\x02\x02\x28"),
    raw("binary", bytes(range(256)) * 16),
    raw("line ends of LF", b"HTTP/1.1 200 OK\nContent-Length: 0\n\n"),
    raw("no status", b"HTTP/1.1 OK\r\n" + EMPTY),
    raw("status 99", b"HTTP/1.1 099 Low\r\n" + EMPTY),
    raw("status of four digits", b"HTTP/1.1 2000 OK\r\n" + EMPTY),
    raw("blank in a header name", OK + b"X A: b\r\n" + EMPTY),
    raw("folded header", OK + b"X-A: b\r\n c\r\n" + EMPTY),
    raw("NUL in a header", OK + b"X-A: b\0c\r\n" + EMPTY),
]

STATUS = (
    [http(str(status), status) for status in (200, 201, 202, 204, 206, 299)]
    + [http(str(status), status) for status in (300, 304, 400, 401, 403, 404, 405, 408, 409, 413, 422, 425, 429, 451, 500,
                                                501, 502, 503, 504, 511, 599, 600, 999)]
    + [http(f"{status} to elsewhere", status, "Location: /elsewhere") for status in (301, 302, 303, 307, 308)]
    + [http("302 to itself", 302, "Location: /"), http("200 with a Location", 200, "Location: /elsewhere"),
       http("410", 410, next=OVER)]
)

RETRY_AFTER = [
    retry_after(0, 0, 5), retry_after(5, 5, 5), retry_after(5, 5, 5, status=429), retry_after(20, 20, 20, status=404),
    retry_after(3600, CAP, CAP), retry_after(10 ** 12, CAP, CAP), retry_after(10 ** 30, CAP, CAP), retry_after(-1, 0, 5),
    retry_after("soon", 0, 5), retry_after("1.5", 0, 5), retry_after("Wed, 21 Oct 2015 07:28:00 GMT", 0, 5),
    retry_at("503, Retry-After: an HTTP-date in 20 s", 20, 18.9, 20),
    retry_at("503, Retry-After: an HTTP-date in a day", 86400, CAP, CAP),
    http("503, two Retry-After", 503, "Retry-After: 60", "Retry-After: 90"),
    http("410, Retry-After: 5", 410, "Retry-After: 5", next=OVER),
]

KEEP_ALIVE = [
    Case("an idle connection is used again", ((answer(200), keep), (answer(200), keep)), status=200, is_warm=True,
         on_fresh=False),
    Case("closed while idle", ((answer(200),), (answer(200), keep)), status=200, is_warm=True, on_fresh=True),
    Case("reset while idle", ((answer(200), reset), (answer(200), keep)), status=200, is_warm=True, on_fresh=True),
    Case("talks while idle", ((answer(200), wait(0.05), say(OK + EMPTY), keep), (answer(200), keep)), status=200,
         is_warm=True, on_fresh=True),
    Case("says more than the answer", ((say(OK + EMPTY + OK + EMPTY), keep), (answer(200), keep)), status=200,
         is_warm=True, on_fresh=True),
    Case("Connection: close, and stays", ((answer(200, "Connection: close"), keep), (answer(200), keep)), status=200,
         is_warm=True, on_fresh=True),
    Case("reads the second request and closes", ((answer(200), keep), (wait(0.02),), (answer(200), keep)), "reset",
         is_warm=True, on_fresh=False, then=(("delivered", 200),)),
    Case("reads the second request and resets", ((answer(200), keep), (reset,), (answer(200), keep)), "reset",
         is_warm=True, on_fresh=False, then=(("delivered", 200),)),
    Case("begins the second answer and closes", ((answer(200), keep), (say(b"HTTP/1.1 2"),), (answer(200), keep)), "reset",
         is_warm=True, on_fresh=False, then=(("delivered", 200),)),
]

OLD = ssl.TLSVersion.TLSv1
TLS = [
    tls("TLS 1.3", tls={}, outcome="delivered", status=200, read=1),
    tls("TLS 1.2", tls={"most": ssl.TLSVersion.TLSv1_2}, outcome="delivered", status=200, read=1),
    tls("a certificate for the address", tls={"leaf": "address", "names": "IP:127.0.0.1"}, host="127.0.0.1",
        outcome="delivered", status=200, read=1),
    tls("for a name, called by address", tls={}, host="127.0.0.1", says="certificate is for another address"),
    tls("expired", tls={"leaf": "expired", "days": -1}, says="certificate has expired"),
    tls("self-signed", tls={"leaf": "selfsigned", "signer": None}, says="self-signed certificate"),
    tls("unknown authority", tls={"leaf": "unknown", "signer": "stranger"}),
    tls("another host's", tls={"leaf": "other", "names": "DNS:other.example.com"}, says="certificate is for another host"),
    tls("a wildcard of two levels", tls={}, host="a.b.endpoint.test", says="certificate is for another host"),
    tls("signed with SHA-1", tls={"leaf": "sha1", "digest": "sha1", "weak": True}, says="certificate signature is too weak"),
    tls("TLS 1.0 only", place="handshake", tls={"least": OLD, "most": OLD, "weak": True},
        says="no TLS version in common (1.2 is the least)"),
    tls("does not know the name (SNI)", place="handshake", tls={"sni": ssl.ALERT_DESCRIPTION_UNRECOGNIZED_NAME},
        says="the endpoint has no certificate for this host"),
    tls("wants a client certificate", place="handshake", tls={"wants_client": True},
        says="the endpoint asks for a client certificate"),
    tls("wants a client certificate, TLS 1.2", place="handshake", tls={"wants_client": True, "most": ssl.TLSVersion.TLSv1_2}),
    tls("asks for another handshake after the request", place="renegotiating", tls={},
        says="the endpoint refused the handshake"),
    tls("a chain of 400 certificates", tls={"copies": 400}, says="certificate chain is too long"),
    tls("plain HTTP on the port", unread, say(b"HTTP/1.1 400 Bad\r\n" + EMPTY), host="plain.endpoint.test",
        says="the endpoint does not speak TLS on this port"),
    tls("closes in the handshake", unread, wait(0.01), host="closes.endpoint.test"),
    tls("resets in the handshake", unread, wait(0.01), reset, host="resets.endpoint.test"),
    tls("hangs in the handshake", unread, hang, host="hangs.endpoint.test", outcome="timeout",
        says="no connection in time", is_hung=True),
    tls("handshake, one byte at a time", unread, say(b"\x16\x03\x03\x40\0"), drip(b"\2\0\x30\0" + bytes(200), 0.5),
        host="drips.endpoint.test", outcome="timeout", says="no connection in time", is_hung=True),
    tls("whole answer, no goodbye", answer(200, body=b"whole"), vanish, tls={}, outcome="delivered", status=200, read=1),
    tls("half an answer, no goodbye", say(OK + b"Content-Length: 9\r\n\r\nfour"), vanish, tls={}, outcome="reset", read=1),
    tls("reads, no goodbye", vanish, tls={}, outcome="reset", read=1),
    tls("reads, resets", reset, tls={}, outcome="reset", read=1),
    tls("hangs after the request", hang, tls={}, outcome="timeout", is_hung=True, read=1),
    tls("64 MiB over TLS", say(OK + b"Content-Length: %d\r\n\r\n" % HUGE), pour(HUGE), tls={}, outcome="delivered",
        status=200, read=1, poured=HUGE),
]

DNS = [
    dns("several addresses", names.addresses("127.0.0.1", "127.0.0.2"), "delivered", status=200),
    dns("the first address is dead", names.addresses("127.0.0.9", "127.0.0.1"), "delivered", status=200),
    dns("NXDOMAIN", names.code(names.NXDOMAIN), says="no such host"),
    dns("SERVFAIL", names.code(names.SERVFAIL), says="no name server could answer"),
    dns("REFUSED", names.code(names.REFUSED)),
    dns("no record", names.addresses(), says="the host has no address"),
    dns("silence", names.silence, "timeout", says="the name lookup took too long", is_hung=True),
    dns("an answer to another question", names.foreign_id, "timeout", is_hung=True),
    dns("noise", names.noise, "timeout", is_hung=True),
    dns("a compressed name that points to itself", names.pointer_loop),
    dns("a CNAME loop", names.cname_loop),
    dns("200 addresses", names.addresses(*(f"127.0.1.{n}" for n in range(200))), "blocked",
        says="the host has more addresses than the service looks at"),
    dns("a private address", names.addresses("10.0.0.1"), "blocked"),
    dns("a public and a private address", names.addresses("127.0.0.1", "10.0.0.1"), "blocked"),
    dns("an allowed IPv4 and a private IPv6 address", names.addresses("127.0.0.1", "fd00::1"), "blocked"),
    dns("the cloud's metadata address", names.addresses("169.254.169.254"), "blocked"),
    Case("rebinding: allowed at first, then private", ((answer(503, "Connection: close", "Retry-After: 0"),),),
         "http_error", 503, dns=names.by_turns(names.addresses("127.0.0.1"), names.addresses("10.0.0.1")),
         then=(("blocked", None),)),
    Case("no such name at first, then it leads here", ((answer(200), keep),), "dns", read=0,
         dns=names.by_turns(names.code(names.NXDOMAIN), names.addresses("127.0.0.1")), then=(("delivered", 200),)),
]

# Those for which it matters that a name and a connection have 5 s each; the service's own time must be longer.
PATIENT = [("patient", case) for case in (
    dns("the first address is a black hole", names.addresses("127.0.0.2", "127.0.0.1"), "delivered", status=200,
        hole="127.0.0.2"),
    of("the only address is a black hole", place="blackhole", outcome="timeout", says="no connection in time", is_hung=True,
       read=0),
    dns("a silent name server", names.silence, "timeout", says="the name lookup took too long", is_hung=True),
    of("hangs after the request", hang, outcome="timeout", says="no answer in time", is_hung=True),
)]


def flapping(seed, count, attempts_max=6):
    """A receiver that fails every other request by chance: how many attempts each run takes is known beforehand."""
    chance = random.Random(seed)
    cases = []
    for n in range(count):
        results = []
        while len(results) < attempts_max and (not results or results[-1] != 200):
            results.append(chance.choice((200, 500, 502, 503, 200)) if n else 503)
        scripts = tuple((answer(status), keep) for status in results)
        outcomes = tuple(("delivered" if status == 200 else "http_error", status) for status in results)
        cases.append(Case(f"flapping {n}: {' '.join(map(str, results))}", scripts, *outcomes[0], then=outcomes[1:]))
    return cases


FAMILIES = {"connection": CONNECTION, "body": BODY, "head": HEAD, "status": STATUS, "Retry-After": RETRY_AFTER,
            "keep-alive": KEEP_ALIVE, "TLS": TLS, "names": DNS}
CASES = [(family, case) for family, cases in FAMILIES.items() for case in cases]
